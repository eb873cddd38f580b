"""Listing an AWS organization: who belongs to it, below which units, with which tags.

AWS allows about one call a second to all of an organization's tools together: a call that is throttled waits and tries
again, and what a listing that failed has learned is not asked again by the next one.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mfa_operator.api.organization import Organization
from mfa_operator.api.policy import Account
from mfa_operator.aws.errors import AwsFailure, Throttled
from mfa_operator.aws.organization_units import UnitWalk
from mfa_operator.aws.regions import ORGANIZATIONS_REGIONS
from mfa_operator.aws.retry import retrying
from mfa_operator.aws.role_sessions import LISTING_POLICY
from mfa_operator.aws.sessions import AccountSession, Sessions
from mfa_operator.aws.unit_names import unit_names
from mfa_operator.clock import utc_now
from mfa_operator.organization.listing import Listing, Member
from mfa_operator.organization.selection import Selector

PAGE_SIZE = 20
"""MaxResults: AWS's own maximum."""
MAX_PAGES = 20_000
"""Of one list. AWS allows some 10,000 accounts, 500 full pages; some pages come empty."""
LIST_SECONDS = 3_600.0
"""For one list, all its pages together: 10,000 accounts take some ten minutes at AWS's rate."""
PATIENCE = 600.0
"""Seconds for which one call is tried while AWS throttles."""
TAGS_FRESH = timedelta(minutes=5)
"""Tags younger than this are not read again."""
TAGS_AGAIN = 600
"""Accounts whose known tags are read again in one listing, the oldest first: ten minutes at AWS's rate."""

_ARN = re.compile(r"arn:(?P<partition>[a-z-]+):organizations::(?P<management>[0-9]{12}):account/(?P<id>o-[0-9a-z]+)/")
_ID = re.compile(r"[0-9]{12}")

Progress = Callable[[str], None]
"""Called with how far a listing is, in words that follow "listing the organization: "."""


@dataclass(frozen=True, slots=True)
class Lister:
    """By whom an organization is listed; policies with the same share one listing."""

    role_arn: str | None = None
    """None: the operator's own credentials."""
    external_id: str | None = None

    @classmethod
    def of(cls, spec: Organization) -> Lister:
        return cls(spec.role_arn, spec.external_id)

    def __str__(self) -> str:
        return self.role_arn or "the operator's own credentials"


class OrganizationLister:
    """Lists one organization, again and again. Not for two threads at once."""

    def __init__(self, sessions: Sessions, lister: Lister, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Raises AwsFailure."""
        self._monotonic = monotonic
        account = Account(
            id=lister.role_arn.split(":")[4] if lister.role_arn else "",
            role_arn=lister.role_arn,
            external_id=lister.external_id,
        )
        self._session = AccountSession(sessions, account, reading_policy=LISTING_POLICY)
        self._region = ORGANIZATIONS_REGIONS[self._session.partition]
        self._stopping: threading.Event = sessions.stopping
        self._tags: dict[str, tuple[datetime, Mapping[str, str]]] = {}
        self._walk = UnitWalk(self._pages)

    def list(self, specs: Collection[Organization], progress: Progress) -> Listing:
        """A complete listing that answers what these specs ask. Raises AwsFailure, PassAbandoned."""
        begun = utc_now()
        members: dict[str, Member] = {}
        arn = ""
        with_paths = True
        for entry in self._pages("ListAccounts", "Accounts"):
            member = _member(entry)
            # An account that is moved while it is listed may come twice: the later word is the newer.
            members[member.id] = member
            with_paths &= bool(member.units)
            arn = arn or str(entry.get("Arn", ""))
            progress(f"{len(members):,} accounts so far")
        partition, management, organization_id = self._organization(arn)
        if management not in members:
            raise AwsFailure(
                "ListAccounts",
                "Incomplete",
                f"the answer lacks the management account, {management}, of the organization",
            )
        named = frozenset[str]().union(*(spec.units for spec in specs))
        seen = frozenset(unit for member in members.values() for unit in member.units) if with_paths else frozenset()
        found = self._walk.below(named - seen, progress)
        for account_id, units in found.units_of.items():
            if account_id in members:
                members[account_id] = replace(members[account_id], units=_joined(members[account_id].units, units))
        for root in found.roots:
            # Everybody is below the root; only who is directly in it would have been listed.
            members = {key: replace(each, units=_joined((root,), each.units)) for key, each in members.items()}
        self._add_tags(members, specs, progress)
        self._walk.forget()
        return Listing(
            organization_id=organization_id,
            management_id=management,
            partition=partition,
            members=tuple(members.values()),
            listed_at=begun,
            units=seen | found.units,
            unknown_units=found.unknown,
        )

    def unit_names(self, listing: Listing, progress: Progress) -> dict[str, str]:
        """Names of units by id, for people: as many as AWS tells in reasonable time. Raises PassAbandoned."""
        return unit_names(self._pages, {member.units for member in listing.members}, progress)

    def _organization(self, arn: str) -> tuple[str, str, str]:
        """Partition, management account's id, organization's id: an account's ARN tells them all."""
        told = _ARN.match(arn)
        if told:
            return told["partition"], told["management"], told["id"]
        answer = self._ask("DescribeOrganization").get("Organization") or {}
        try:
            return self._session.partition, str(answer["MasterAccountId"]), str(answer["Id"])
        except KeyError as error:
            raise AwsFailure("DescribeOrganization", "InvalidAnswer", f"the answer lacks {error}") from error

    def _add_tags(self, members: dict[str, Member], specs: Collection[Organization], progress: Progress) -> None:
        """Read the tags that decide: of accounts not read yet all, of the others a bounded number, oldest first."""
        selectors = [Selector(spec) for spec in specs if spec.by_tags]
        wanted = [each.id for each in members.values() if any(selector.needs_tags(each) for selector in selectors)]
        self._tags = {account_id: self._tags[account_id] for account_id in wanted if account_id in self._tags}
        fresh = utc_now() - TAGS_FRESH
        known = sorted((read, account_id) for account_id, (read, _) in self._tags.items() if read < fresh)
        ask = [each for each in wanted if each not in self._tags] + [each for _, each in known[:TAGS_AGAIN]]
        for count, account_id in enumerate(ask, 1):
            tags = {
                str(tag["Key"]): str(tag["Value"])
                for tag in self._pages("ListTagsForResource", "Tags", limit=None, ResourceId=account_id)
            }
            self._tags[account_id] = utc_now(), tags
            progress(f"tags of {count:,} of {len(ask):,} accounts read")
        for account_id in wanted:
            members[account_id] = replace(members[account_id], tags=self._tags[account_id][1])

    def _pages(
        self, operation: str, field: str, *, limit: int | None = PAGE_SIZE, **asked: str
    ) -> Iterator[Mapping[str, Any]]:
        """The entries of every page. A page may be empty and have a successor all the same. Raises AwsFailure."""
        bound: dict[str, Any] = {"MaxResults": limit} if limit else {}
        token: str | None = None
        seen: set[str] = set()
        end = self._monotonic() + LIST_SECONDS
        while True:
            page = self._ask(operation, **asked, **bound, **({"NextToken": token} if token else {}))
            entries = page.get(field)
            if not isinstance(entries, list):
                raise AwsFailure(operation, "InvalidAnswer", f"the answer lacks {field}")
            yield from entries
            token = page.get("NextToken")
            if not token:
                return
            if token in seen or len(seen) >= MAX_PAGES:
                raise AwsFailure(operation, "InvalidAnswer", "the list does not end: a page token repeats")
            if self._monotonic() > end:
                pages = f"{len(seen) + 1:,} pages in {LIST_SECONDS / 60:.0f} minutes"
                raise AwsFailure(operation, "TooSlow", f"the list does not end: {pages} so far")
            seen.add(token)

    def _ask(self, operation: str, **asked: Any) -> Mapping[str, Any]:  # noqa: ANN401 - the operation's own
        def attempt() -> Mapping[str, Any]:
            answer: Mapping[str, Any] = self._session.ask_once(
                operation,
                lambda client: getattr(client, _method(operation))(**asked),
                service="organizations",
                region=self._region,
            )
            return answer

        again = retrying(
            lambda error: isinstance(error, Throttled),
            self._stopping,
            tries=1000,
            first=1.0,
            longest=30.0,
            jitter=5.0,
            within=PATIENCE,
        )
        return again(attempt)


def _method(operation: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()


def _member(entry: Mapping[str, Any]) -> Member:
    account_id = str(entry.get("Id", ""))
    if not _ID.fullmatch(account_id):
        raise AwsFailure("ListAccounts", "InvalidAnswer", f"{account_id!r} is not an account id")
    joined = entry.get("JoinedTimestamp")
    return Member(
        id=account_id,
        name=str(entry.get("Name", "")),
        # Status is the older word of the two, and may be missing; it knows no CLOSED.
        state=str(entry.get("State") or entry.get("Status") or ""),
        joined=joined.astimezone(UTC) if isinstance(joined, datetime) else None,
        units=_units(entry.get("Paths") or ()),
    )


def _units(paths: Iterable[str]) -> tuple[str, ...]:
    """The units of paths like `o-…/r-…/ou-…/111122223333/`, each once, from the top."""
    return tuple(dict.fromkeys(part for path in paths for part in path.split("/") if part.startswith(("r-", "ou-"))))


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
