"""Who must never be acted on, whatever a policy says: the operator itself."""

from __future__ import annotations

from collections.abc import Iterable

from mfa_operator.api.enums import UserState
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.evaluation.verdicts import Verdict


def own_users(session: AccountSession, signed_in_as: str | None, verdicts: Iterable[Verdict]) -> frozenset[str]:
    """IAM users of the account that the operator signs in as, before or after assuming a role.

    `signed_in_as` is the user of the session itself, if it is one. AWS is asked who the operator is only where somebody
    is Overdue. Raises AwsFailure: who cannot tell who he is must not act.
    """
    own = {signed_in_as}
    if any(verdict.state is UserState.OVERDUE for verdict in verdicts):
        identity = session.sessions.own_identity(session.sessions.own_partition())
        if identity.account_id == session.account.id:
            own.add(identity.user_name)
    return frozenset(user for user in own if user)
