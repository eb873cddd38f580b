"""MfaPolicy.status and MfaReport.status as frozen typed models: what the operator says.

Read leniently (a status written by a newer or older operator must not stop a pass), written exactly.
Empty values are left out, counts never are. All times are UTC with whole seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from mfa_operator.api.conversion import prepare
from mfa_operator.api.enums import (
    AccountState,
    ConditionReason,
    ConditionType,
    FindingState,
    RemediationAction,
    RemediationState,
    UserState,
)
from mfa_operator.api.fields import AwareDatetime

MAX_STATUS_FINDINGS = 50
MAX_STATUS_ACCOUNTS = 200
MAX_REQUESTED_AT = 256
"""Characters of lastHandledRequestedAt; a longer value of the annotation is cut."""


class _Optional(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Base of what leaves empty fields out."""


class Counts(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Users by state. compliant + violating + overdue + exempt + unknown + those without console = users."""

    users: int = 0
    console_users: int = 0
    compliant: int = 0
    violating: int = 0
    overdue: int = 0
    exempt: int = 0
    unknown: int = 0
    quarantined: int = 0
    remediated: int = 0

    @property
    def no_console(self) -> int:
        """Users out of scope because they cannot sign in to the console."""
        return self.users - self.compliant - self.violating - self.overdue - self.exempt - self.unknown

    @property
    def states(self) -> dict[UserState, int]:
        """Every state with its count; they add up to `users`."""
        return {
            UserState.NO_CONSOLE: self.no_console,
            UserState.COMPLIANT: self.compliant,
            UserState.EXEMPT: self.exempt,
            UserState.VIOLATING: self.violating,
            UserState.OVERDUE: self.overdue,
            UserState.UNKNOWN: self.unknown,
        }


def summed(counts: Collection[Counts]) -> dict[str, int]:
    """The fields of a Counts, each the sum of those given."""
    return {field: sum(getattr(each, field) for each in counts) for field in Counts.__struct_fields__}


class PolicySummary(Counts, frozen=True, kw_only=True):
    """Counts over all accounts of a policy; failed accounts count with what was last known of them."""

    accounts: int = 0
    accounts_failed: int = 0
    accounts_pending: int = 0
    """Joined the organization within the hour and refuse the role: neither audited nor failed."""
    accounts_skipped: int = 0
    """Of the organization, not audited for their state: suspended, closed."""
    accounts_excluded: int = 0
    """Of the organization, left out by the spec."""


class FindingRemediation(_Optional, frozen=True, kw_only=True):
    """What was, or would be, done about a finding."""

    action: RemediationAction
    state: RemediationState
    reason: str = ""
    """Why nothing was done, where state is Skipped, DryRun or Failed."""
    time: AwareDatetime | None = None
    message: str = ""
    profile_created: AwareDatetime | None = None
    """CreateDate of the login profile that the action is about."""
    quarantined: bool = False
    """Whether the user carries the quarantine that this policy put there, where action and state do not say so."""

    @property
    def holds_quarantine(self) -> bool:
        """Whether, by this record, the policy put the user under quarantine, or may have, and did not lift it."""
        settled = self.state in (RemediationState.DONE, RemediationState.INTENDED)
        return self.quarantined or (self.action is RemediationAction.QUARANTINE and settled)

    @property
    def is_removal(self) -> bool:
        """Whether the record says that the login profile was removed."""
        return (self.action, self.state) == (RemediationAction.REMOVE_CONSOLE_ACCESS, RemediationState.DONE)


class Finding(_Optional, frozen=True, kw_only=True):
    """One user that is not plainly compliant."""

    user: str
    user_id: str = ""
    """IAM's unique id, which a deleted and recreated user does not keep; empty for root."""
    path: str = "/"
    state: FindingState
    reason: str = ""
    checked_at: AwareDatetime | None = None
    """When the user was last read live, at the earliest; None where the verdict rests on no live lookup."""
    console_since: AwareDatetime | None = None
    """CreateDate of the login profile, where known."""
    last_sign_in: AwareDatetime | None = None
    first_seen: AwareDatetime | None = None
    """When the violation was first found; survives restarts."""
    deadline: AwareDatetime | None = None
    """first_seen plus spec.gracePeriod: from then on the user is Overdue."""
    exemption: str = ""
    remediation: FindingRemediation | None = None

    def is_about(self, user_id: str) -> bool:
        """Whether it is about this very user, and not about one of the same name who was deleted since."""
        return self.user_id in ("", user_id)


class AccountRecord(_Optional, frozen=True, kw_only=True):
    """MfaReport.status.account: what came of the last try to audit the account."""

    state: AccountState
    reason: str = ""
    message: str = ""
    last_success_time: AwareDatetime | None = None
    """When the account was last audited, where the last pass did not audit it; of others it is the pass's time, which
    stands in the policy's status and would make a write of every report in every pass."""


class ReportStatus(_Optional, frozen=True, kw_only=True):
    """MfaReport.status."""

    account_id: str
    account_name: str = ""
    account: AccountRecord | None = None
    """None: written by a version that did not know it."""
    audited_at: AwareDatetime | None = None
    """When the content was last found changed; the policy's lastSuccessTime says when it was last audited."""
    credential_report_time: AwareDatetime | None = None
    summary: Counts = Counts()
    findings: tuple[Finding, ...] = ()

    @property
    def audited(self) -> bool:
        """Whether the account was audited at least once: else summary and findings say nothing."""
        return self.audited_at is not None


class AccountStatus(_Optional, frozen=True, kw_only=True):
    """An entry of MfaPolicy.status.accounts, which holds those that need attention first.

    Counts of a failed account are the last known; None where it was never audited.
    """

    id: str
    name: str = ""
    state: AccountState
    users: int | None = None
    console_users: int | None = None
    violating: int | None = None
    overdue: int | None = None
    exempt: int | None = None
    unknown: int | None = None
    last_success_time: AwareDatetime | None = None
    reason: str = ""
    message: str = ""


class PolicyFinding(_Optional, frozen=True, kw_only=True):
    """An entry of MfaPolicy.status.findings."""

    account_id: str
    account_name: str = ""
    user: str
    state: FindingState
    reason: str = ""
    first_seen: AwareDatetime | None = None
    deadline: AwareDatetime | None = None


class Condition(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A metav1.Condition."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: ConditionReason
    message: str
    last_transition_time: AwareDatetime
    observed_generation: int = 0


class ServedBy(_Optional, frozen=True, kw_only=True):
    """The operator that serves a policy, by which of several whose selectors overlap only one does."""

    lease: str
    """Namespace and name of the Lease by which it leads."""
    holder: str
    """The process, as the Lease names it: one that restarts is another."""


class PolicyStatus(_Optional, frozen=True, kw_only=True):
    """MfaPolicy.status."""

    observed_generation: int = 0
    last_pass_time: AwareDatetime | None = None
    next_pass_time: AwareDatetime | None = None
    conditions: tuple[Condition, ...] = ()
    summary: PolicySummary | None = None
    accounts: tuple[AccountStatus, ...] = ()
    accounts_total: int | None = None
    last_handled_requested_at: str = ""
    """Value of the annotation requestedAt that the last pass served."""
    findings: tuple[PolicyFinding, ...] = ()
    findings_total: int | None = None
    served_by: ServedBy | None = None

    def condition(self, kind: ConditionType) -> Condition | None:
        return next((condition for condition in self.conditions if condition.type is kind), None)


prepare(PolicyStatus, ReportStatus, Counts, ServedBy)
