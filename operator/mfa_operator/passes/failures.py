"""What a failed audit makes of an account: its state, the reason, the message, and how it is counted.

The operator's passes and the commands without a cluster say the same of the same failure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from mfa_operator.api.conversion import InvalidObject, rfc3339
from mfa_operator.api.enums import AccountReason, AccountState, ErrorReason
from mfa_operator.api.policy import Account
from mfa_operator.api.status import AccountStatus
from mfa_operator.aws.errors import AwsFailure, Denied
from mfa_operator.kube.errors import ReadRefused, WriteRefused
from mfa_operator.organization.account_list import AccountList
from mfa_operator.reporting.account_report import failed_account


@dataclass(frozen=True, slots=True)
class AccountFailure:
    """One failure, as status, metrics and log need it."""

    reason: AccountReason
    counted: ErrorReason
    message: str
    denied: bool = False
    """AWS refused: the account is Denied, not Failed."""
    audited: bool = False
    """The account was audited; only its report could not be written."""
    unexpected: bool = False
    """A bug, most likely: the log gets the traceback."""
    pending: bool = False
    """The account has just joined, and its role may be on the way: nobody has to do anything."""

    def status(self, account: Account, before: AccountStatus | None) -> AccountStatus:
        """The account's entry in MfaPolicy.status; `before` is the entry of the last pass."""
        status = failed_account(account, before, denied=self.denied, reason=self.reason, message=self.message)
        return msgspec.structs.replace(status, state=AccountState.PENDING) if self.pending else status

    def in_organization(
        self, accounts: AccountList, account_id: str, before: AccountStatus | None, now: datetime
    ) -> AccountFailure:
        """The same, as what is known of the account's organization explains it."""
        if self.reason is not AccountReason.ASSUME_ROLE_DENIED:
            return self
        if joined := accounts.joined_lately(account_id, now):
            why = f"joined the organization at {rfc3339(joined)}, and its role may not be there yet"
            return replace(self, pending=True, message=f"{why}: {self.message}")
        if before and before.state is AccountState.PENDING and not accounts.complete:
            # When it joined, only the next complete listing tells.
            return replace(self, pending=True)
        if account_id == accounts.management_id:
            why = "service-managed StackSets never deploy to the management account: it needs its own stack"
            return replace(self, message=f"{self.message}; {why}")
        return self

    def with_restart(self, command: str) -> AccountFailure:
        """The same, with the command that restarts the operator's pods where that can help."""
        if self.reason is not AccountReason.CREDENTIALS_MISSING:
            return self
        advice = (
            "pods get the credentials of IRSA and Pod Identity only when they start; if the role came later, restart"
        )
        return replace(self, message=f"{self.message}; {advice} them: {command}")


def account_failure(error: Exception) -> AccountFailure:
    """Classify what an audit, or the publishing of one, raised."""
    if isinstance(error, AwsFailure):
        denied = isinstance(error, Denied)
        return AccountFailure(error.account_reason, error.error_reason, str(error), denied=denied)
    if isinstance(error, WriteRefused):
        return AccountFailure(AccountReason.WRITE_FAILED, ErrorReason.OTHER, str(error), audited=True)
    if isinstance(error, ReadRefused):
        return AccountFailure(AccountReason.ERROR, ErrorReason.OTHER, str(error))
    if isinstance(error, InvalidObject):
        message = f"the stored MfaReport is invalid, and firstSeen must not be lost: {error}"
        return AccountFailure(AccountReason.ERROR, ErrorReason.OTHER, message)
    message = f"unexpected {type(error).__name__}: {error}"
    return AccountFailure(AccountReason.ERROR, ErrorReason.OTHER, message, unexpected=True)
