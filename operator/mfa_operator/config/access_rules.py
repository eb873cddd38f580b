"""Which namespace may reach which account through which role, and what may be done there. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import msgspec
from msgspec import Meta

from mfa_operator.api.conversion import WrongField, from_dict, prepare, shown
from mfa_operator.api.enums import RemediationAction
from mfa_operator.api.globs import AnyGlob
from mfa_operator.api.policy import Account

Glob = Annotated[str, Meta(min_length=1, max_length=600)]
Globs = Annotated[tuple[Glob, ...], Meta(min_length=1)]

_MILDEST_FIRST = (RemediationAction.NONE, RemediationAction.QUARANTINE, RemediationAction.REMOVE_CONSOLE_ACCESS)


_EVERY_ROLE = "*"
_COLONS_OF_AN_ARN = 5


class AccessRule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True, dict=True):
    """One rule of the settings file. A list that is left out matches everything.

    An empty list is an error: a template that found nothing to fill in must not open everything. Globs are described
    in docs/concepts.md.
    """

    namespaces: Globs = ("*",)
    accounts: Globs = ("*",)
    """Over account ids, 12 digits each."""
    roles: Globs = (_EVERY_ROLE,)
    """Over whole role ARNs; only `:` matches `:`, so that a wildcard never reaches into another part of the ARN.

    An account without roleArn is audited with the operator's own credentials, the strongest there are: it matches a
    rule without roles, or with the very glob `*`, which matches every role, and no other.
    """
    remediation: RemediationAction = RemediationAction.NONE
    """The strongest action allowed; it includes the milder ones."""
    organization: bool = False
    """Whether the namespaces may discover accounts: list an organization. What they find is held to `accounts` and
    `roles` like accounts that a policy names."""

    def __post_init__(self) -> None:
        for glob in self.roles:
            if glob != _EVERY_ROLE and glob.count(":") < _COLONS_OF_AN_ARN:
                raise WrongField(
                    "roles",
                    f"{shown(glob)} matches no role: no wildcard matches a colon; write all parts of the ARN, like"
                    " arn:aws:iam::*:role/mfa-operator, or * alone for every role",
                )

    def serves(self, namespace: str) -> bool:
        """Whether the rule is about policies of the namespace, whatever the account."""
        return self._namespaces.matches(namespace)

    def matches(self, namespace: str, account: Account) -> bool:
        """Whether the rule is about this account, entered through the role it names, for policies of the namespace."""
        return (
            self.serves(namespace)
            and self._accounts.matches(account.id)
            and (_EVERY_ROLE in self.roles or (account.role_arn is not None and self._roles.matches(account.role_arn)))
        )

    @cached_property
    def _namespaces(self) -> AnyGlob:
        return AnyGlob(self.namespaces)

    @cached_property
    def _accounts(self) -> AnyGlob:
        return AnyGlob(self.accounts)

    @cached_property
    def _roles(self) -> AnyGlob:
        return AnyGlob(self.roles, separator=":")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    access: Annotated[tuple[AccessRule, ...], Meta(max_length=1000)]


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What the operator's own settings allow; the first rule that matches holds.

    Without a file (the default) every namespace may audit every account and discover, and nothing is ever remediated.
    """

    rules: tuple[AccessRule, ...] = (AccessRule(organization=True),)
    remediation: bool = True
    """False: nothing is remediated, whatever the rules say."""

    @classmethod
    def from_dict(cls, value: object) -> AccessRules:
        """Read the content of a settings file. Raises InvalidObject naming the field."""
        return cls(from_dict(_File, value).access)

    def without_remediation(self) -> AccessRules:
        """The same rules for auditing; nothing is remediated."""
        return replace(self, remediation=False)

    def allows(self, namespace: str, account: Account) -> bool:
        """Whether policies of the namespace may audit the account, through the role it names."""
        return self._rule(namespace, account) is not None

    def may_discover(self, namespace: str, role_arn: str | None) -> bool:
        """Whether policies of the namespace may list an organization through the role; None: as the operator itself.

        A role is held to `accounts` and `roles` like that of an account: else a namespace could have the operator
        assume any role that trusts it.
        """
        if role_arn is None:
            rule = next((rule for rule in self.rules if rule.serves(namespace)), None)
        else:
            rule = self._rule(namespace, Account(id=role_arn.split(":")[4], role_arn=role_arn))
        return rule is not None and rule.organization

    def max_action(self, namespace: str, account: Account) -> RemediationAction:
        """The strongest action that policies of the namespace may take in the account."""
        rule = self._rule(namespace, account)
        return rule.remediation if rule and self.remediation else RemediationAction.NONE

    def permits(self, namespace: str, account: Account, action: RemediationAction) -> bool:
        """Whether this action, or a stronger one, is allowed."""
        allowed = self.max_action(namespace, account)
        return _MILDEST_FIRST.index(action) <= _MILDEST_FIRST.index(allowed) and self.allows(namespace, account)

    def _rule(self, namespace: str, account: Account) -> AccessRule | None:
        return next((rule for rule in self.rules if rule.matches(namespace, account)), None)


prepare(_File)
