"""Random organizations, edits, failures and restarts: who is audited is who a naive reading says, and nothing is lost.

The same few stories in each `make test`, many new ones with `make chaos` (MFA_CHAOS_EXAMPLES).
"""

from __future__ import annotations

import copy
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mfa_operator.api.enums import EventReason
from mfa_operator.scheduling.due import Cause
from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.aws.organization import Member, Unit
from tests.fixtures.organization_harness import OrganizationStage
from tests.fixtures.remediation_harness import MINUTE, staged

EXAMPLES = max(int(os.environ.get("MFA_CHAOS_EXAMPLES", "12")) // 2, 12)
STEPS = 40
ACCOUNTS = [f"{digit}" * 12 for digit in range(1, 6)]
UNITS = ("Prod", "Payments", "Dev")
STRANGE = "ou-zz99-mistyped"
TAGS = ("prod", "dev", None)
STATES = ("ACTIVE", "ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "CLOSED", "PENDING_ACTIVATION")
Ids = st.sampled_from(ACCOUNTS)
Sides = st.fixed_dictionaries(
    {},
    optional={
        "units": st.lists(st.sampled_from([*UNITS, "Root"]), min_size=1, max_size=2, unique=True),
        "tags": st.sampled_from([{"env": "prod"}, {"env": "dev"}]),
    },
)


@dataclass(frozen=True)
class Seen:
    """An account as a complete listing had it."""

    id: str
    state: str
    units: tuple[str, ...]
    tags: dict[str, str]


def above(unit: Unit | None) -> tuple[str, ...]:
    return () if unit is None else (*above(unit.parent), unit.id)


def selects(spec: dict[str, Any], account: Seen) -> bool:
    """The spec as it reads."""
    include, exclude = spec.get("include", {}), spec.get("exclude", {})
    if account.state != "ACTIVE" or account.id in exclude.get("accounts", ()):
        return False
    if "organizationalUnits" in include and not set(include["organizationalUnits"]) & set(account.units):
        return False
    if set(exclude.get("organizationalUnits", ())) & set(account.units):
        return False
    if not include.get("tags", {}).items() <= account.tags.items():
        return False
    return not ("tags" in exclude and exclude["tags"].items() <= account.tags.items())


class Discovery(RuleBasedStateMachine):
    """One organization, one policy over it, and one operator process at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        aws = self._open.enter_context(EmbeddedAws())
        self._stage = OrganizationStage(self._open.enter_context(staged(aws)))
        # One try each: what matters is that a listing fails, not after how long.
        patch = self._open.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("mfa_operator.aws.organization.PATIENCE", 0.0)
        organization = self._stage.organization
        organization.page_size = 2
        self._units: dict[str, Unit] = {"Root": organization.root}
        for name in UNITS:
            self._units[name] = organization.unit(name, self._units["Prod"] if name == "Payments" else None)
        self._listed: list[Seen] | None = None
        """The last complete listing of this process."""
        self._listed_spec: dict[str, Any] = {}
        self._forces: list[set[str]] = [set()]
        """The list in force, without typed entries; several where what was audited does not tell them apart."""
        self._reports: set[str] = set()
        self._unidentified: set[str] = set()
        """Whom this process took up from reports, where none says of which organization: of another one, as long as a
        listing has none of them. An account that was once typed, and is in no organization, looks the same."""

    @initialize(
        joined=st.lists(st.tuples(Ids, st.sampled_from([*UNITS, "Root"]), st.sampled_from(TAGS)), max_size=5),
        include=Sides,
        exclude=Sides,
    )
    def begin(self, joined: list[tuple[str, str, str | None]], include: Any, exclude: Any) -> None:
        for account_id, unit, tag in joined:
            self.join(account_id, unit, tag)
        self.edit(include, exclude, None, False, None)

    def teardown(self) -> None:
        self._open.close()

    # What happens in the organization

    @rule(account_id=Ids, unit=st.sampled_from([*UNITS, "Root"]), tag=st.sampled_from(TAGS))
    def join(self, account_id: str, unit: str, tag: str | None) -> None:
        if account_id not in self._members:
            self._stage.join(account_id, unit=self._units[unit], tags={"env": tag} if tag else {})

    @rule(account_id=Ids)
    def leave(self, account_id: str) -> None:
        if account_id in self._members:
            self._stage.organization.leave(account_id)

    @rule(account_id=Ids, unit=st.sampled_from([*UNITS, "Root"]))
    def move(self, account_id: str, unit: str) -> None:
        if account_id in self._members:
            self._stage.organization.move(account_id, self._units[unit])

    @rule(account_id=Ids, state=st.sampled_from(STATES))
    def change_state(self, account_id: str, state: Any) -> None:
        if account_id in self._members:
            self._stage.organization.set_state(account_id, state)

    @rule(account_id=Ids, tag=st.sampled_from(TAGS))
    def tag(self, account_id: str, tag: str | None) -> None:
        if account_id in self._members:
            self._stage.organization.tag(account_id, "env", tag)

    @rule(paths=st.booleans(), words=st.sampled_from(["both", "State", "Status"]), empty=st.booleans())
    def answer_otherwise(self, paths: bool, words: Any, empty: bool) -> None:
        # Status knows one word for what State has three for: the naive reading goes by what is skipped, not by why.
        organization = self._stage.organization
        organization.paths, organization.state_members, organization.empty_pages = paths, words, empty

    # What people do

    @rule(
        include=Sides,
        exclude=Sides,
        excluded=st.sampled_from([None, *ACCOUNTS]),
        mistyped=st.sampled_from([False, False, False, True]),
        typed=st.sampled_from([None, None, *ACCOUNTS]),
    )
    def edit(self, include: Any, exclude: Any, excluded: str | None, mistyped: bool, typed: str | None) -> None:
        def side(fields: dict[str, Any]) -> dict[str, Any]:
            units = [self._units[name].id for name in fields.get("units", ())]
            tags = {"tags": fields["tags"]} if "tags" in fields else {}
            return {**({"organizationalUnits": units} if units else {}), **tags}

        accounts = [self._stage.management_id, *([excluded] if excluded else [])]
        self._spec = {"include": side(include), "exclude": {**side(exclude), "accounts": accounts}}
        if mistyped:
            self._spec["include"].setdefault("organizationalUnits", []).append(STRANGE)
        self._spec = {key: value for key, value in self._spec.items() if value}
        self._typed = {typed} if typed else set()
        role = f"arn:aws:iam::{typed}:role/mfa-operator"
        entries = {"accounts": [{"id": typed, "roleArn": role}]} if typed else {}
        self._stage.harness.cluster.apply("p", {"organization": copy.deepcopy(self._spec), **entries})

    # What goes wrong

    @rule(how=st.sampled_from(["denied", "partial", "none", "none"]))
    def fail(self, how: str) -> None:
        """Refused, or throttled for good after the first pages."""
        organization = self._stage.organization
        organization.management_id = ACCOUNTS[0] if how == "denied" else self._stage.management_id
        organization.throttle(*((0.000001, 2) if how == "partial" else (None,)))

    @rule()
    def restart(self) -> None:
        if "status" in self._stage.harness.cluster.policies[self._stage.ref]:
            self._stage.restart()
            self._listed = None
            # Whom the last pass left out, suspended by what it knew, keeps the report and need not be asked.
            self._forces = [set(self._reports), self._reports & self._stage.covered]
            identified = any(
                each.organization_id for each in self._stage.harness.cluster.policy_reports(self._stage.ref)
            )
            self._unidentified = set() if identified else self._reports - self._typed

    # Passes

    @rule(cause=st.sampled_from([Cause.INTERVAL, Cause.INTERVAL, Cause.REQUESTED]), hours=st.integers(0, 2))
    def run_pass(self, cause: Cause, hours: int) -> None:
        stage = self._stage
        departed = len(stage.events(EventReason.ACCOUNT_LEFT))
        stage.harness.clock.advance(hours * 60 * MINUTE)
        stage.run_pass(cause)
        self._check(departed)
        self._list()

    @rule()
    def next_pass(self) -> None:
        self.run_pass(Cause.INTERVAL, 0)

    @rule()
    def an_hour_later(self) -> None:
        self.run_pass(Cause.INTERVAL, 1)
        self.run_pass(Cause.INTERVAL, 0)

    @rule()
    def settle(self) -> None:
        """Nothing fails any more, a person asks, and the next pass audits who is there now."""
        self.fail("none")
        self.run_pass(Cause.REQUESTED, 1)
        self.run_pass(Cause.INTERVAL, 0)
        if STRANGE not in self._spec.get("include", {}).get("organizationalUnits", ()):
            assert self._listed is not None
            assert self._listed_spec == self._spec
            assert self._may_be_refused or self._stage.condition("AccountsDiscovered").status == "True"

    def _list(self) -> None:
        stage = self._stage
        now = [Seen(each.id, each.state, above(each.parent), dict(each.tags)) for each in self._members.values()]
        before = stage.aws.calls.count(operation="ListAccounts")
        stage.harness.discoverer.run_due()
        after = stage.harness.discoverer.last_success(stage.ref)
        if stage.aws.calls.count(operation="ListAccounts") > before and after and after[1]:
            self._listed, self._listed_spec = now, copy.deepcopy(self._spec)

    @property
    def _may_be_refused(self) -> bool:
        """Whether the last complete listing looks like one of another organization."""
        listed = {each.id for each in self._listed or ()}
        return bool(self._unidentified) and self._unidentified.isdisjoint(listed)

    @property
    def _members(self) -> dict[str, Member]:
        return self._stage.organization.members

    def _check(self, departed: int) -> None:
        """The pass that has just ended, against the naive reading."""
        stage = self._stage
        excluded = set(self._spec["exclude"]["accounts"])
        mistyped = STRANGE in self._spec.get("include", {}).get("organizationalUnits", ())
        possible, selected, decided = self._forces, set[str](), False
        if self._listed is not None and not mistyped:
            selected = {each.id for each in self._listed if selects(self._spec, each)}
            # Read after an edit, the listing decides; before it, only where it happens to know what is asked.
            decided = self._listed_spec == self._spec and not self._may_be_refused
            possible = [selected] if decided else [selected, *self._forces]
        covered = stage.covered
        self._forces = [force for force in possible if (force - excluded) | self._typed == covered]
        assert self._forces, (covered, possible, self._typed)
        # Reports go only where a complete listing of this process lacks the account, or does not select it.
        inactive = {each.id for each in self._listed or () if each.state != "ACTIVE"}
        gone = self._reports - stage.reported
        if gone:
            assert self._listed is not None
            assert not mistyped
            assert not gone & (selected | self._typed | inactive)
            assert len(stage.events(EventReason.ACCOUNT_LEFT)) == departed + len(gone)
        if decided:
            self._unidentified = set()
            assert stage.reported - covered <= inactive
        self._reports = stage.reported

    @invariant()
    def nothing_unasked_is_good(self) -> None:
        """Compliant is never True where some account was not audited, or nobody ever listed the organization."""
        if "status" not in self._stage.harness.cluster.policies[self._stage.ref]:
            return
        compliant = self._stage.condition("Compliant").status
        if compliant == "True":
            assert self._stage.status.accounts
            assert all(account.state == "Audited" for account in self._stage.status.accounts)


Discovery.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    phases=(Phase.explicit, Phase.generate),
    derandomize="MFA_CHAOS_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestDiscovery = pytest.mark.timeout(120 + 10 * EXAMPLES)(Discovery.TestCase)
