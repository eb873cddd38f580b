"""The quarantine's managed policies in one account: made once, mended when edited, attached and detached."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from mfa_operator.aws import quarantine_document
from mfa_operator.aws.errors import AwsFailure, NotFound
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.sessions import AccountSession

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import ListEntitiesForPolicyResponseTypeDef, PolicyTypeDef

MAX_VERSIONS = 5
"""Versions a managed policy may have (IAM quotas): the oldest goes before a sixth."""
ALREADY_EXISTS = "EntityAlreadyExists"


class NotOurs(AwsFailure):
    """A policy of our name is there that this operator did not make; it is left alone."""


class QuarantinePolicies:
    """Everything about the quarantine in one account, for one pass: what was seen once is not asked again."""

    def __init__(self, session: AccountSession) -> None:
        self._session = session
        self._account_id = session.account.id
        self._policies: dict[Variant, PolicyTypeDef | None] = {}
        self._current: dict[Variant, bool] = {}
        self._members: dict[Variant, frozenset[str]] = {}

    def members(self, variant: Variant) -> frozenset[str]:
        """Names of the users that carry our policy now; none where there is none of ours. Raises AwsFailure."""
        if variant not in self._members:
            ours = self._policy(variant) is not None and self.foreign(variant) is None
            pages = self._session.ask("ListEntitiesForPolicy", partial(_entities, self._arn(variant))) if ours else []
            self._members[variant] = frozenset(user["UserName"] for page in pages for user in page["PolicyUsers"])
        return self._members[variant]

    def all_members(self) -> frozenset[str]:
        """Names of the users under either quarantine now. Raises AwsFailure."""
        return self.members(Variant.CONSOLE) | self.members(Variant.CONSOLE_AND_KEYS)

    def carried(self, user: str) -> frozenset[Variant]:
        """Which of the two policies the user carries now. Raises AwsFailure."""
        return frozenset(variant for variant in Variant if user in self.members(variant))

    def foreign(self, variant: Variant) -> NotOurs | None:
        """Why the policy of that name is not ours; None where it is, or where there is none. Raises AwsFailure."""
        found = self._policy(variant)
        if found is None or quarantine_document.is_ours(found.get("Tags")):  # type: ignore[arg-type]  # the same shape, by another name
            return None
        return NotOurs(
            "GetPolicy",
            "NotOurs",
            f"{self._arn(variant)} has no tag managed-by=mfa-operator, so somebody else made it: it is left alone; "
            "delete or rename it to let the operator make its own",
        )

    def drifted(self, variant: Variant) -> bool:
        """Whether users carry our policy and its document is not ours any more: it protects nobody.

        Raises AwsFailure.
        """
        return bool(self.members(variant)) and not self._is_current(variant)

    def ensure(self, variant: Variant) -> None:
        """Make the policy, or mend it where its document is not ours any more. Raises NotOurs, AwsFailure."""
        if self._policy(variant) is None:
            self._create(variant)
        if foreign := self.foreign(variant):
            raise foreign
        if not self._is_current(variant):
            self._mend(variant)

    def attach(self, variant: Variant, user: str) -> None:
        """Put one user under quarantine, and out of the other one: no gap opens. Raises NotOurs, AwsFailure."""
        self.ensure(variant)
        if user not in self.members(variant):
            arn = self._arn(variant)
            self._session.ask("AttachUserPolicy", lambda iam: iam.attach_user_policy(UserName=user, PolicyArn=arn))
            self._members[variant] |= {user}
        self._detach(variant.other, user)

    def release(self, user: str) -> bool:
        """Lift the user's quarantine, whichever it is; False where there was none. Raises AwsFailure."""
        lifted = [self._detach(variant, user) for variant in Variant]
        return any(lifted)

    def _detach(self, variant: Variant, user: str) -> bool:
        if user not in self.members(variant):
            return False
        arn = self._arn(variant)
        with suppress(NotFound):  # somebody was quicker, or the user is gone
            self._session.ask("DetachUserPolicy", lambda iam: iam.detach_user_policy(UserName=user, PolicyArn=arn))
        self._members[variant] -= {user}
        return True

    def _policy(self, variant: Variant) -> PolicyTypeDef | None:
        if variant not in self._policies:
            arn = self._arn(variant)
            try:
                found = self._session.ask("GetPolicy", lambda iam: iam.get_policy(PolicyArn=arn))["Policy"]
            except NotFound:
                found = None
            self._policies[variant] = found
        return self._policies[variant]

    def _create(self, variant: Variant) -> None:
        document = self._document(variant)
        try:
            made = self._session.ask(
                "CreatePolicy",
                lambda iam: iam.create_policy(
                    PolicyName=variant.value,
                    Path=quarantine_document.PATH,
                    PolicyDocument=document,
                    Description=variant.description,
                    Tags=quarantine_document.tag_list(),  # type: ignore[arg-type]  # the same shape, by another name
                ),
            )["Policy"]
        except AwsFailure as error:
            if error.code != ALREADY_EXISTS:
                raise
            # Somebody was quicker, or the answer to a first try was lost: see whose it is.
            del self._policies[variant]
            self._members.pop(variant, None)
        else:
            # Not asked for anew: IAM is eventually consistent.
            self._policies[variant] = made
            made["Tags"] = quarantine_document.tag_list()  # type: ignore[typeddict-item]  # the same shape, by another name
            self._members[variant] = frozenset()
            self._current[variant] = True

    def _is_current(self, variant: Variant) -> bool:
        if variant not in self._current:
            policy = self._policy(variant)
            arn, version = self._arn(variant), policy["DefaultVersionId"] if policy else ""
            answer = self._session.ask(
                "GetPolicyVersion", lambda iam: iam.get_policy_version(PolicyArn=arn, VersionId=version)
            )
            self._current[variant] = quarantine_document.is_current(
                answer["PolicyVersion"]["Document"], self._session.partition, self._account_id, variant
            )
        return self._current[variant]

    def _mend(self, variant: Variant) -> None:
        arn, document = self._arn(variant), self._document(variant)
        versions = self._session.ask("ListPolicyVersions", lambda iam: iam.list_policy_versions(PolicyArn=arn))[
            "Versions"
        ]
        if len(versions) >= MAX_VERSIONS:
            oldest = min(
                (each for each in versions if not each["IsDefaultVersion"]), key=lambda each: each["CreateDate"]
            )
            self._session.ask(
                "DeletePolicyVersion",
                lambda iam: iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"]),
            )
        self._session.ask(
            "CreatePolicyVersion",
            lambda iam: iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True),
        )
        self._current[variant] = True

    def _document(self, variant: Variant) -> str:
        return quarantine_document.document_json(self._session.partition, self._account_id, variant)

    def _arn(self, variant: Variant) -> str:
        return quarantine_document.policy_arn(self._session.partition, self._account_id, variant)


def _entities(arn: str, iam: IAMClient) -> list[ListEntitiesForPolicyResponseTypeDef]:
    pages = iam.get_paginator("list_entities_for_policy")
    return list(pages.paginate(PolicyArn=arn, EntityFilter="User", PaginationConfig={"PageSize": 1000}))
