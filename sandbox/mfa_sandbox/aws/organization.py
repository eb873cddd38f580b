"""One AWS organization of the sandbox: its units, its accounts, and who may ask about them.

    organization = aws.world.create_organization()
    prod = organization.unit("Production")
    organization.join("111122223333", "payments-prod", organization.unit("Payments", prod), tags={"env": "prod"})

Everything may change at any time: `move`, `leave`, `suspend`, `close`, `reactivate`, `tag`.
"""

import random
import string
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from mfa_sandbox.aws.rate_limit import RateLimit

if TYPE_CHECKING:
    from mfa_sandbox.aws.world import World

MemberState = Literal["PENDING_ACTIVATION", "ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "CLOSED"]
StateMembers = Literal["both", "State", "Status"]

READ_ACTIONS = frozenset(
    f"organizations:{operation}"
    for operation in (
        "ListAccounts",
        "ListAccountsForParent",
        "ListChildren",
        "ListOrganizationalUnitsForParent",
        "ListParents",
        "ListRoots",
        "ListTagsForResource",
        "DescribeAccount",
        "DescribeOrganization",
        "DescribeOrganizationalUnit",
    )
)


@dataclass(slots=True, eq=False)
class Unit:
    """An organizational unit (`parent` is a unit or the root), or the root itself, which has no parent."""

    id: str
    name: str
    parent: "Unit | None"
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """`r-…/ou-…/ou-…/`."""
        return (self.parent.path if self.parent else "") + f"{self.id}/"


@dataclass(slots=True, eq=False)
class Member:
    """An account as the organization knows it."""

    id: str
    name: str
    email: str
    parent: Unit
    joined: datetime
    joined_method: Literal["CREATED", "INVITED"]
    state: MemberState = "ACTIVE"
    tags: dict[str, str] = field(default_factory=dict)


class Organization:
    """Made by `World.create_organization`.

    Options, each of which may change at any time: `state_members` (which of State and Status accounts have), `paths`
    (whether accounts have Paths), `empty_pages` (every other page is empty and has a NextToken), `page_size` (at
    most 20), `rate_limit` (None: no throttling; see `throttle`).
    """

    def __init__(self, world: "World", management_id: str) -> None:
        self._world = world
        self.id = f"o-{_random(10)}"
        self.management_id = management_id
        suffix = _random(4)
        self._unit_prefix = f"ou-{suffix}-"
        self.root = Unit(f"r-{suffix}", "Root", None)
        self.units: dict[str, Unit] = {self.root.id: self.root}
        self.members: dict[str, Member] = {}
        self.state_members: StateMembers = "both"
        self.paths = True
        self.empty_pages = False
        self.page_size = 20
        self.rate_limit: RateLimit | None = None
        self.lock = threading.RLock()
        self._readers: dict[str, frozenset[str]] = {}
        self.join(management_id, "management", joined=world.now() - timedelta(days=1000))

    # What there is

    def unit(self, name: str, parent: Unit | None = None) -> Unit:
        """Make an organizational unit below another one, or below the root."""
        with self.lock:
            made = Unit(self._unit_prefix + _random(8), name, parent or self.root)
            self.units[made.id] = made
        return made

    def join(
        self,
        account_id: str,
        name: str | None = None,
        unit: Unit | None = None,
        *,
        joined: datetime | None = None,
        method: Literal["CREATED", "INVITED"] = "CREATED",
        state: MemberState = "ACTIVE",
        tags: Mapping[str, str] | None = None,
        email: str | None = None,
    ) -> Member:
        """An account joins, now if no time is given. What happens inside it (roles, users) is `World.account`'s; an
        account that nobody made there refuses every role. Raises ValueError where it is in an organization."""
        if self._world.organization_of(account_id) is not None:
            raise ValueError(f"account {account_id} is in an organization already")
        member = Member(
            account_id,
            name or f"account-{account_id}",
            email or f"aws+{account_id}@example.com",
            unit or self.root,
            joined or self._world.now(),
            method,
            tags=dict(tags or {}),
        )
        with self.lock:
            self.members[account_id] = member
        self.set_state(account_id, state)
        return member

    def leave(self, account_id: str) -> None:
        """The account is in no organization from now on. Raises KeyError."""
        with self.lock:
            del self.members[account_id]
            self._readers.pop(account_id, None)

    def move(self, account_id: str, unit: Unit) -> None:
        """Raises KeyError for an account that is not in it."""
        with self.lock:
            self.members[account_id].parent = unit

    def suspend(self, account_id: str) -> None:
        self.set_state(account_id, "SUSPENDED")

    def close(self, account_id: str) -> None:
        self.set_state(account_id, "CLOSED")

    def reactivate(self, account_id: str) -> None:
        self.set_state(account_id, "ACTIVE")

    def set_state(self, account_id: str, state: MemberState) -> None:
        """Only ACTIVE accounts let anybody in. Raises KeyError."""
        with self.lock:
            self.members[account_id].state = state
        account = self._world.accounts.get(account_id)
        if account is not None:
            account.suspended = state != "ACTIVE"

    def rename(self, account_id: str, name: str) -> None:
        with self.lock:
            self.members[account_id].name = name

    def tag(self, account_id: str, key: str, value: str | None) -> None:
        """Set a tag; None removes it."""
        with self.lock:
            if value is None:
                self.members[account_id].tags.pop(key, None)
            else:
                self.members[account_id].tags[key] = value

    def children(self, parent: Unit) -> list[Unit]:
        """The units directly below."""
        with self.lock:
            return [unit for unit in self.units.values() if unit.parent is parent]

    def accounts_in(self, parent: Unit) -> list[Member]:
        """The accounts directly in a unit, or in no unit where it is the root."""
        with self.lock:
            return [member for member in self.members.values() if member.parent is parent]

    # Who may ask, and how often

    def delegate(self, account_id: str, actions: Collection[str] = READ_ACTIONS) -> None:
        """A member account may ask: as a delegated administrator, or, with fewer `actions`, as one that the
        organization's resource-based policy names. Raises ValueError where it is no member."""
        with self.lock:
            if account_id not in self.members:
                raise ValueError(f"account {account_id} is not in the organization")
            self._readers[account_id] = frozenset(actions)

    def revoke(self, account_id: str) -> None:
        """Take the delegation back."""
        with self.lock:
            self._readers.pop(account_id, None)

    def may_ask(self, account_id: str, action: str) -> bool:
        """Every member account may describe the organization; the rest is for whom it was given to."""
        with self.lock:
            readers = {**self._readers, self.management_id: READ_ACTIONS}
            return action == "organizations:DescribeOrganization" or action in readers.get(account_id, frozenset())

    def throttle(self, per_second: float | None = 1.0, burst: int = 2) -> None:
        """From now on answer TooManyRequestsException to more calls than that; None: no longer."""
        self.rate_limit = None if per_second is None else RateLimit(per_second, burst)


def _random(length: int) -> str:
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=length))  # noqa: S311 - no secret
