"""What keeps the quarantine's policy from being made in an account, remembered from pass to pass."""

from __future__ import annotations

import threading

from mfa_operator.api.duration import Duration
from mfa_operator.aws.errors import AwsFailure
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.quarantine_policies import QuarantinePolicies
from mfa_operator.passes.backoff import AccountBackoff
from mfa_operator.reporting.wording import shortened


class Obstacles:
    """Names that are taken, by account and variant; safe to use from several threads.

    Only a CreatePolicy shows that a name is taken. So that not every pass sends one, a pass first reads whether the
    name is free by now; where the role may not read that (iam:ListPolicies), it tries ever less often, down to once an
    hour.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: dict[tuple[str, Variant], str] = {}
        self._backoff = AccountBackoff()

    def in_the_way(self, account_id: str, policies: QuarantinePolicies, variant: Variant) -> str:
        """Why the policy cannot be made, in words; empty where it is there or a try is due. Raises AwsFailure."""
        if obstacle := policies.obstacle(variant):
            return shortened(str(obstacle))
        with self._lock:
            message = self._messages.get((account_id, variant), "")
        if not message:
            return ""
        if policies.made(variant):
            self._forget(account_id, variant)
            return ""
        try:
            taken = bool(policies.name_holder(variant))
        except AwsFailure:
            taken = self._backoff.skips(_key(account_id, variant))
        return message if taken else ""

    def met(self, account_id: str, variant: Variant, message: str, interval: Duration) -> None:
        """Remember that a try to make the policy has failed."""
        with self._lock:
            self._messages[account_id, variant] = message
        self._backoff.failed(_key(account_id, variant), interval)

    def _forget(self, account_id: str, variant: Variant) -> None:
        with self._lock:
            self._messages.pop((account_id, variant), None)
        self._backoff.succeeded(_key(account_id, variant))


def _key(account_id: str, variant: Variant) -> str:
    return f"{account_id}/{variant}"
