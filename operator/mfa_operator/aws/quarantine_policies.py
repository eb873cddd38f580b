"""The quarantine's managed policies in one account: made once, mended when edited, attached and detached."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from mfa_operator import quarantine
from mfa_operator.aws.errors import AwsFailure, NotFound
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.quarantine import Variant

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import ListEntitiesForPolicyResponseTypeDef

MAX_VERSIONS = 5
"""Versions a managed policy may have (IAM quotas): the oldest goes before a sixth."""


class NotOurs(AwsFailure):
    """A policy of our name is there that this operator did not make; it is left alone."""


class QuarantinePolicies:
    """Everything about the quarantine in one account, for one pass: what was seen once is not asked again."""

    def __init__(self, session: AccountSession) -> None:
        self._session = session
        self._account_id = session.account.id
        self._ensured: set[Variant] = set()
        self._members: dict[Variant, frozenset[str]] = {}

    def members(self, variant: Variant) -> frozenset[str]:
        """Names of the users that carry the policy now; none where there is no such policy. Raises AwsFailure."""
        if variant not in self._members:
            arn = self._arn(variant)
            try:
                pages = self._session.ask("ListEntitiesForPolicy", partial(_entities, arn))
            except NotFound:
                pages = []
            self._members[variant] = frozenset(user["UserName"] for page in pages for user in page["PolicyUsers"])
        return self._members[variant]

    def all_members(self) -> frozenset[str]:
        """Names of the users under either quarantine now. Raises AwsFailure."""
        return self.members(Variant.CONSOLE) | self.members(Variant.CONSOLE_AND_KEYS)

    def ensure(self, variant: Variant) -> None:
        """Make the policy, or mend it where its document is not ours any more. Raises NotOurs, AwsFailure."""
        if variant in self._ensured:
            return
        arn = self._arn(variant)
        document = quarantine.document_json(self._session.partition, self._account_id, variant)
        try:
            found = self._session.ask("GetPolicy", lambda iam: iam.get_policy(PolicyArn=arn))["Policy"]
        except NotFound:
            self._session.ask(
                "CreatePolicy",
                lambda iam: iam.create_policy(
                    PolicyName=variant.value,
                    Path=quarantine.PATH,
                    PolicyDocument=document,
                    Description=variant.description,
                    Tags=quarantine.tag_list(),  # type: ignore[arg-type]  # the same shape, by another name
                ),
            )
        else:
            if not quarantine.is_ours(found.get("Tags")):  # type: ignore[arg-type]  # the same shape, by another name
                raise NotOurs(
                    "GetPolicy",
                    "NotOurs",
                    f"{arn} has no tag managed-by=mfa-operator, so somebody else made it: it is left alone; "
                    "delete or rename it to let the operator make its own",
                )
            self._mend(variant, found["DefaultVersionId"], document)
        self._ensured.add(variant)

    def ensure_where_attached(self, variant: Variant) -> None:
        """Mend the policy where users carry it: an edited one protects nobody. Raises NotOurs, AwsFailure."""
        if self.members(variant):
            self.ensure(variant)

    def attach(self, variant: Variant, user: str) -> None:
        """Put one user under quarantine, and out of the other one: no gap opens. Raises NotOurs, AwsFailure."""
        self.ensure(variant)
        if user not in self.members(variant):
            arn = self._arn(variant)
            self._session.ask("AttachUserPolicy", lambda iam: iam.attach_user_policy(UserName=user, PolicyArn=arn))
            self._members[variant] |= {user}
        self._detach(variant.other, user)

    def release(self, user: str) -> bool:
        """Lift the user's quarantine, whichever it is; False where there was none. Raises NotOurs, AwsFailure."""
        lifted = [self._detach(variant, user) for variant in Variant]
        return any(lifted)

    def _detach(self, variant: Variant, user: str) -> bool:
        if user not in self.members(variant):
            return False
        self._check_ours(variant)
        arn = self._arn(variant)
        with suppress(NotFound):  # somebody was quicker, or the user is gone
            self._session.ask("DetachUserPolicy", lambda iam: iam.detach_user_policy(UserName=user, PolicyArn=arn))
        self._members[variant] -= {user}
        return True

    def _check_ours(self, variant: Variant) -> None:
        if variant in self._ensured:
            return
        arn = self._arn(variant)
        found = self._session.ask("GetPolicy", lambda iam: iam.get_policy(PolicyArn=arn))["Policy"]
        if not quarantine.is_ours(found.get("Tags")):  # type: ignore[arg-type]  # the same shape, by another name
            raise NotOurs("GetPolicy", "NotOurs", f"{arn} has no tag managed-by=mfa-operator: it is left alone")

    def _mend(self, variant: Variant, version: str, document: str) -> None:
        arn = self._arn(variant)
        answer = self._session.ask(
            "GetPolicyVersion", lambda iam: iam.get_policy_version(PolicyArn=arn, VersionId=version)
        )
        if quarantine.is_current(
            answer["PolicyVersion"]["Document"], self._session.partition, self._account_id, variant
        ):
            return
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

    def _arn(self, variant: Variant) -> str:
        return quarantine.policy_arn(self._session.partition, self._account_id, variant)


def _entities(arn: str, iam: IAMClient) -> list[ListEntitiesForPolicyResponseTypeDef]:
    pages = iam.get_paginator("list_entities_for_policy")
    return list(pages.paginate(PolicyArn=arn, EntityFilter="User", PaginationConfig={"PageSize": 1000}))
