"""Keeping MfaPolicy.status within what one Kubernetes object may hold, whatever its accounts' messages say. Pure."""

from __future__ import annotations

import msgspec

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.status import AccountStatus, PolicyStatus
from mfa_operator.reporting.wording import shortened

MAX_BYTES = 900_000
"""Below the 1 MiB that an object should have, and etcd's limit of 1.5 MiB for a request; the spec stands beside it."""
SURELY_FIT = 100
"""Accounts with the longest messages, in the widest characters, that fit in any case: no need to measure."""
MESSAGE_LENGTHS = (256, 128, 64, 0)
"""Characters that are left of each account's message, tried in this order."""


def fitted(status: PolicyStatus, limit: int = MAX_BYTES) -> PolicyStatus:
    """The status, with as much of its accounts' messages as fits.

    A message that repeats stands once, at the first account that has it; then all are shortened. The MfaReports and the
    operator's log have them whole.
    """
    if len(status.accounts) <= SURELY_FIT or _size(status) <= limit:
        return status
    status = msgspec.structs.replace(status, accounts=_repeated_once(status.accounts))
    for length in MESSAGE_LENGTHS:
        if _size(status) <= limit:
            break
        accounts = tuple(
            msgspec.structs.replace(account, message=shortened(account.message, length) if length else "")
            for account in status.accounts
        )
        status = msgspec.structs.replace(status, accounts=accounts)
    return status


def _size(status: PolicyStatus) -> int:
    return len(msgspec.json.encode(to_dict(status)))


def _repeated_once(accounts: tuple[AccountStatus, ...]) -> tuple[AccountStatus, ...]:
    first: dict[str, str] = {}
    return tuple(
        account
        if first.setdefault(account.message, account.id) == account.id or not account.message
        else msgspec.structs.replace(account, message=f"as account {first[account.message]}")
        for account in accounts
    )
