"""What the scheduler runs: the one place that says what a pass has to promise."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from mfa_operator.api.objects import Body, PolicyRef
from mfa_operator.scheduling.due import PassEnd
from mfa_operator.scheduling.hints import Doubt, Unseen


class PassRunner(Protocol):
    """What audits a policy: the reconciler. Called in threads, never twice at once for one policy."""

    def run_pass(self, ref: PolicyRef, *, fresh: bool, cause: str) -> PassEnd:
        """Audit one policy. `fresh`: a person asked, so no remembered facts and no back-off.

        The first one in this process begins with what `restore` does, if nobody called that.
        Raises PassAbandoned if the process stops; any other exception is retried with back-off.
        """
        ...

    def run_accounts(self, ref: PolicyRef, doubts: Mapping[str, Doubt]) -> Unseen:
        """Audit these accounts of the policy, those that it still covers, and publish what was found.

        Raises as run_pass does, and TargetedPassFailed where accounts could not be audited: their hints come again.
        """
        ...

    def covering(self, account_id: str) -> Collection[PolicyRef]:
        """The policies that cover the account, as far as is known. Must not block: it is called in the loop."""
        ...

    def hurry_account(self, ref: PolicyRef, account_id: str, users: frozenset[str], at: datetime) -> None:
        """Something has happened in the account at that time: a pass that runs over the policy takes it up next.

        Nothing where none runs, or the account has begun. Must not block: it is called in the loop.
        """
        ...

    def refresh_organizations(self, account_id: str) -> None:
        """An account joined or left its organization; empty where it is not known which. Must not block."""
        ...

    def restore(self, body: Body) -> None:
        """Take up the metrics of a policy from its status and reports, as its first pass in this process is not due."""
        ...

    def forget(self, ref: PolicyRef) -> None:
        """A policy is gone: drop what is remembered of it. Must not block: it is called in the loop."""
        ...
