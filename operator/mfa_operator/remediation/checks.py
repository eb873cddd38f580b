"""What has to hold directly before each request that changes something at AWS."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import msgspec

from mfa_operator.api.enums import RefusalReason, RemediationAction
from mfa_operator.aws.collect import Collector
from mfa_operator.aws.enroll_check import what_forbids_enrolling
from mfa_operator.aws.live_user import read_user
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.config.access_rules import AccessRules
from mfa_operator.evaluation.exemptions import candidates
from mfa_operator.evaluation.facts import LoginProfile
from mfa_operator.evaluation.verdicts import Verdict, evaluate
from mfa_operator.kube.cluster import ObjectGone
from mfa_operator.remediation.inputs import AccountPass, Environment
from mfa_operator.remediation.planner import refusal_message
from mfa_operator.scheduling.due import PassAbandoned

Refusal = tuple[RefusalReason, str]


class Checks:
    """The checks of one pass over one account; each asks now, and remembers nothing."""

    def __init__(self, environment: Environment, inputs: AccountPass, collector: Collector) -> None:
        self._environment, self._inputs, self._collector = environment, inputs, collector

    def permits(self, action: RemediationAction) -> bool:
        """Whether the operator's own settings allow the action here, this moment."""
        rules, namespace = self._environment.access(), self._inputs.policy.ref.namespace
        may = rules.remediation and rules.permits(namespace, self._inputs.account, action)
        return may and self._may_cover(rules)

    def _may_cover(self, rules: AccessRules) -> bool:
        """Whether the account may be among the policy's: one that was discovered needs the right to discover."""
        ref, spec = self._inputs.policy.ref, self._inputs.policy.spec
        if spec.organization is None or any(account.id == self._inputs.account.id for account in spec.accounts):
            return True
        return rules.may_discover(ref.namespace, spec.organization.role_arn)

    def check_still_allowed(self, action: RemediationAction) -> Refusal | None:
        """Why the action must not be taken any more: settings, policy or organization changed since it was planned.

        Raises ObjectGone, ClusterError, PassAbandoned.
        """
        if refusal := self.check_own_settings(action):
            return refusal
        policy = self._inputs.policy
        body = self._environment.cluster.get_policy(policy.ref)
        metadata = body["metadata"] if body else {}
        if metadata.get("uid") != policy.uid or metadata.get("deletionTimestamp"):
            raise ObjectGone(f"MfaPolicy {policy.ref} is gone")
        if body is not None and not self._environment.still_ours(body):
            raise PassAbandoned(f"MfaPolicy {policy.ref} is now served by another operator: the rest is left to it")
        if metadata.get("generation") != policy.generation:
            # Suspended, dry run, another action, another exemption: whatever it is, the next pass plans by it.
            return (
                RefusalReason.REMEDIATION_DISABLED,
                "the policy was edited during the pass; the next one plans again",
            )
        if not self._environment.still_covers(policy, self._inputs.account):
            message = "the policy no longer covers the account: its organization was listed again since"
            return RefusalReason.NOT_ALLOWED, message
        return None

    def check_own_settings(self, action: RemediationAction) -> Refusal | None:
        """The part of `check_still_allowed` that asks nobody. Raises PassAbandoned."""
        if not self._environment.leading():
            raise PassAbandoned("another replica may lead: the rest is left to it")
        if not self._environment.access().remediation:
            return RefusalReason.REMEDIATION_DISABLED, refusal_message(RefusalReason.REMEDIATION_DISABLED)
        if not self.permits(action):
            return RefusalReason.NOT_ALLOWED, refusal_message(RefusalReason.NOT_ALLOWED)
        return None

    def verdict_now(self, name: str, path: str) -> Verdict | None:
        """The verdict on a user by what AWS says this moment; None where there is no such user. Raises AwsFailure."""
        inputs, now = self._inputs, self._environment.clock()
        spec = inputs.policy.spec
        tagged = any(exemption.tags for exemption in candidates(spec, inputs.account.id, name, path, now))
        facts = read_user(self._collector.session, name, with_tags=tagged)
        if facts is None:
            return None
        shown = facts.profile.value.created if facts.profile else None
        if facts.profile and self._environment.removed.holds(inputs.account.id, facts.user.user_id, shown, now):
            gone = msgspec.structs.replace(facts.profile, value=LoginProfile(created=None))
            facts = msgspec.structs.replace(facts, profile=gone)
        snapshot = replace(inputs.snapshot, users=(facts,), root=None)
        return evaluate(spec, snapshot, inputs.published, now)[0]

    def what_forbids_enrolling(self, name: str, path: str, variant: Variant) -> str:
        """Why the user could not enrol MFA under this quarantine, in words; "" where they could. Raises AwsFailure."""
        accepted = self._inputs.policy.spec.requirement.accepted
        return what_forbids_enrolling(self._collector.session, name, path, variant, accepted)

    def note_removal(self, user_id: str, created: datetime | None) -> None:
        """Have what IAM may still show of a removed login profile taken for what it is, whichever policy sees it."""
        if created:
            self._environment.removed.note(self._inputs.account.id, user_id, created, self._environment.clock())

    def forget_user(self, user_id: str) -> None:
        """Let the next audit of any policy ask about the user again."""
        self._collector.forget_user(user_id)
