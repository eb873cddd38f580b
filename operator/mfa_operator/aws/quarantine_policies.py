"""The quarantine's managed policies in one account: made once, repaired when edited, attached and detached.

Changes are given out one request at a time (`next_write_…`): whoever sends one checks first whether it is still right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from mfa_operator.aws import quarantine_document
from mfa_operator.aws.errors import AwsFailure, NotFound
from mfa_operator.aws.quarantine_document import Variant
from mfa_operator.aws.sessions import AccountSession
from mfa_operator.aws.writes import Write, worth_another_try

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import (
        ListEntitiesForPolicyResponseTypeDef,
        ListPoliciesResponseTypeDef,
        PolicyTypeDef,
    )

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
        self._name_exists: set[Variant] = set()
        """Variants of which CreatePolicy said in this pass that the name exists."""

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

    def obstacle(self, variant: Variant) -> NotOurs | None:
        """Why the policy cannot be made: somebody else's has our ARN or our name. None where nothing is known to stand
        in the way; a name taken under another path shows only when CreatePolicy was tried. Raises AwsFailure.
        """
        if foreign := self.foreign(variant):
            return foreign
        if variant in self._name_exists and self._policy(variant) is None:
            return self._name_taken(variant)
        return None

    def name_holder(self, variant: Variant) -> str:
        """ARN of a policy that has our name under another path; "" where ListPolicies shows none. Raises AwsFailure."""
        pages = self._session.ask("ListPolicies", _customer_policies)
        policies = (policy for page in pages for policy in page["Policies"])
        ours = self._arn(variant)
        named = (one["Arn"] for one in policies if one["PolicyName"].lower() == variant.value and one["Arn"] != ours)
        return next(named, "")

    def made(self, variant: Variant) -> bool:
        """Whether there is a policy at our ARN, whoever made it. Raises AwsFailure."""
        return self._policy(variant) is not None

    def drifted(self, variant: Variant) -> bool:
        """Whether users carry our policy and its document is not ours any more: it protects nobody.

        Raises AwsFailure.
        """
        return bool(self.members(variant)) and not self._is_current(variant)

    def next_write_to_keep(self, variant: Variant) -> Write | None:
        """The next request on the way to a policy that is there and says what ours says; None where it does.

        Raises NotOurs, AwsFailure.
        """
        if obstacle := self.obstacle(variant):
            raise obstacle
        if self._policy(variant) is None:
            return self._write("CreatePolicy", partial(self._create, variant))
        if self._is_current(variant):
            return None
        return self._next_write_to_repair(variant)

    def next_write_to_attach(self, variant: Variant, user: str) -> Write | None:
        """The next request on the way to this quarantine, and out of the other one; no gap opens. None: it is done.

        Raises NotOurs, AwsFailure.
        """
        if write := self.next_write_to_keep(variant):
            return write
        if user not in self.members(variant):
            return self._write("AttachUserPolicy", partial(self._attach, variant, user))
        return self._next_write_to_detach([variant.other], user)

    def next_write_to_release(self, user: str) -> Write | None:
        """The next request on the way out of the quarantine, whichever it is; None where the user is out.

        Raises AwsFailure.
        """
        return self._next_write_to_detach(Variant, user)

    def _next_write_to_detach(self, variants: Iterable[Variant], user: str) -> Write | None:
        variant = next((variant for variant in variants if user in self.members(variant)), None)
        return self._write("DetachUserPolicy", partial(self._detach, variant, user)) if variant else None

    def _next_write_to_repair(self, variant: Variant) -> Write:
        arn = self._arn(variant)
        answer = self._session.ask("ListPolicyVersions", lambda iam: iam.list_policy_versions(PolicyArn=arn))
        versions = answer["Versions"]
        if len(versions) < MAX_VERSIONS:
            return self._write("CreatePolicyVersion", partial(self._create_version, variant))
        removable = (version for version in versions if not version["IsDefaultVersion"])
        oldest = min(removable, key=lambda version: version["CreateDate"])["VersionId"]
        return self._write("DeletePolicyVersion", partial(self._delete_version, variant, oldest))

    def _write(self, operation: str, send: Callable[[], None]) -> Write:
        self._session.prepare_to_write()
        return Write(operation, send)

    def _attach(self, variant: Variant, user: str) -> None:
        arn = self._arn(variant)
        with self._remembered(variant):
            self._session.ask("AttachUserPolicy", lambda iam: iam.attach_user_policy(UserName=user, PolicyArn=arn))
            self._members[variant] |= {user}

    def _detach(self, variant: Variant, user: str) -> None:
        arn = self._arn(variant)
        with self._remembered(variant):
            with suppress(NotFound):  # somebody was quicker, or the user is gone
                self._session.ask("DetachUserPolicy", lambda iam: iam.detach_user_policy(UserName=user, PolicyArn=arn))
            self._members[variant] -= {user}

    def _create_version(self, variant: Variant) -> None:
        arn, document = self._arn(variant), self._document(variant)
        with self._remembered(variant):
            self._session.ask(
                "CreatePolicyVersion",
                lambda iam: iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True),
            )
            self._current[variant] = True

    def _delete_version(self, variant: Variant, version: str) -> None:
        arn = self._arn(variant)
        with suppress(NotFound):  # somebody was quicker, or the answer to an earlier try was lost
            self._session.ask(
                "DeletePolicyVersion", lambda iam: iam.delete_policy_version(PolicyArn=arn, VersionId=version)
            )

    @contextmanager
    def _remembered(self, variant: Variant) -> Iterator[None]:
        """What was seen of the policy holds only while its changes succeed: after a failure AWS is asked again."""
        try:
            yield
        except AwsFailure as error:
            if worth_another_try(error) or isinstance(error, NotFound) or error.code == ALREADY_EXISTS:
                self._forget(variant)
            raise

    def _forget(self, variant: Variant) -> None:
        self._policies.pop(variant, None)
        self._current.pop(variant, None)
        self._members.pop(variant, None)

    def _policy(self, variant: Variant) -> PolicyTypeDef | None:
        if variant not in self._policies:
            self._policies[variant] = self._get_policy(self._arn(variant))
        return self._policies[variant]

    def _get_policy(self, arn: str) -> PolicyTypeDef | None:
        try:
            return self._session.ask("GetPolicy", lambda iam: iam.get_policy(PolicyArn=arn))["Policy"]
        except NotFound:
            return None

    def _name_taken(self, variant: Variant) -> NotOurs:
        """IAM keeps names of managed policies unique in an account, whatever their path and case."""
        try:
            holder = self.name_holder(variant)
            where = f": {holder}" if holder else ", which ListPolicies does not show"
        except AwsFailure as error:
            where = f" (which one is not known: {error.operation}: {error.code})"
        return NotOurs(
            "CreatePolicy",
            ALREADY_EXISTS,
            f"the name {variant} is taken by a policy under another path{where}; it is left alone: delete it to let "
            f"the operator make its own, {self._arn(variant)}",
        )

    def _create(self, variant: Variant) -> None:
        document = self._document(variant)
        try:
            with self._remembered(variant):
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
            # Somebody was quicker, or the answer to an earlier try was lost, or the name is taken under another path:
            # GetPolicy tells which.
            if error.code != ALREADY_EXISTS:
                raise
            self._name_exists.add(variant)
            return
        # Not asked for again: IAM is eventually consistent.
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

    def _document(self, variant: Variant) -> str:
        return quarantine_document.document_json(self._session.partition, self._account_id, variant)

    def _arn(self, variant: Variant) -> str:
        return quarantine_document.policy_arn(self._session.partition, self._account_id, variant)


def _entities(arn: str, iam: IAMClient) -> list[ListEntitiesForPolicyResponseTypeDef]:
    pages = iam.get_paginator("list_entities_for_policy")
    return list(pages.paginate(PolicyArn=arn, EntityFilter="User", PaginationConfig={"PageSize": 1000}))


def _customer_policies(iam: IAMClient) -> list[ListPoliciesResponseTypeDef]:
    pages = iam.get_paginator("list_policies")
    return list(pages.paginate(Scope="Local", PaginationConfig={"PageSize": 1000}))
