"""Access rules: who may reach which account through which role, and what may be done there."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import InvalidObject
from mfa_operator.api.enums import RemediationAction
from mfa_operator.api.policy import Account
from mfa_operator.config.access_rules import AccessRules

NONE, QUARANTINE, REMOVE = RemediationAction
ROLE = "arn:aws:iam::111122223333:role/mfa/audit"
WITH_ROLE = Account(id="111122223333", role_arn=ROLE)
WITHOUT_ROLE = Account(id="111122223333")


def rules(*entries: dict[str, Any]) -> AccessRules:
    return AccessRules.from_dict({"access": list(entries)})


class TestWithoutAFile:
    def test_everybody_audits_everything_and_nothing_is_remediated(self) -> None:
        for account in (WITH_ROLE, WITHOUT_ROLE):
            assert AccessRules().allows("anywhere", account)
            assert AccessRules().max_action("anywhere", account) is NONE


class TestMatching:
    @pytest.mark.parametrize(
        ("rule", "namespace", "allowed"),
        [
            ({}, "security", True),
            ({"namespaces": ["security"]}, "security", True),
            ({"namespaces": ["security"]}, "security-2", False),
            ({"namespaces": ["sec*", "team-?"]}, "team-a", True),
            ({"namespaces": ["Security"]}, "security", False),
            ({"accounts": ["111122223333"]}, "security", True),
            ({"accounts": ["1111*"]}, "security", True),
            ({"accounts": ["1111"]}, "security", False),
            ({"namespaces": ["security"], "accounts": ["444455556666"]}, "security", False),
        ],
    )
    def test_globs_cover_the_whole_value_with_case(self, rule: dict[str, Any], namespace: str, allowed: bool) -> None:
        assert rules(rule).allows(namespace, WITH_ROLE) is allowed

    @pytest.mark.parametrize(
        ("roles", "with_role", "without_role"),
        [
            (None, True, True),
            (["*"], True, True),
            (["arn:aws:iam::*:role/mfa/*"], True, False),
            (["arn:aws:iam::*:*"], True, False),
            (["arn:aws:iam::*:role/other"], False, False),
            (["arn:aws:iam::*:role/other", "*"], True, True),
            (["arn:aws:*:*:*:*"], True, False),
            (["arn:aws:iam::*[:]role/mfa/audit:*"], False, False),
        ],
    )
    def test_own_credentials_need_a_rule_that_allows_every_role(
        self, roles: list[str] | None, with_role: bool, without_role: bool
    ) -> None:
        access = rules({} if roles is None else {"roles": roles})
        assert access.allows("security", WITH_ROLE) is with_role
        assert access.allows("security", WITHOUT_ROLE) is without_role

    def test_an_account_wildcard_does_not_match_the_role_path(self) -> None:
        """IAM allows a colon in a path: role/x:role/audit/ must not pass for an account's part of the ARN."""
        role = "arn:aws:iam::111122223333:role/x:role/audit"
        access = rules({"roles": ["arn:aws:iam::1*:role/audit", "arn:aws:iam::1*33:role/aud*"]})
        assert not access.allows("security", Account(id="111122223333", role_arn=role))

    def test_what_no_rule_matches_is_not_allowed_at_all(self) -> None:
        access = rules({"namespaces": ["other"], "remediation": "RemoveConsoleAccess"})
        assert not access.allows("security", WITH_ROLE)
        assert access.max_action("security", WITH_ROLE) is NONE
        assert not access.permits("security", WITH_ROLE, NONE)

    def test_an_empty_list_of_rules_allows_nothing(self) -> None:
        assert not rules().allows("security", WITH_ROLE)

    def test_the_first_match_holds_even_if_a_later_one_gives_more(self) -> None:
        access = rules(
            {"namespaces": ["security"], "remediation": "QuarantineUntilMfa"}, {"remediation": "RemoveConsoleAccess"}
        )
        assert access.max_action("security", WITH_ROLE) is QUARANTINE
        assert access.max_action("elsewhere", WITH_ROLE) is REMOVE

    @given(st.lists(st.sampled_from(["security", "s*", "other", "*"]), max_size=3), st.integers(0, 4))
    def test_a_rule_more_at_the_end_takes_nothing_away(self, globs: list[str], count: int) -> None:
        few = [{"namespaces": [glob]} for glob in globs]
        more = [*few, *[{"namespaces": ["other"]}] * count]
        assert rules(*more).allows("security", WITH_ROLE) == rules(*few).allows("security", WITH_ROLE)


class TestActions:
    @pytest.mark.parametrize(("granted", "asked"), list(itertools.product(RemediationAction, repeat=2)))
    def test_each_action_includes_the_milder_ones(self, granted: RemediationAction, asked: RemediationAction) -> None:
        order = [NONE, QUARANTINE, REMOVE]
        access = rules({"remediation": granted.value})
        assert access.max_action("security", WITH_ROLE) is granted
        assert access.permits("security", WITH_ROLE, asked) is (order.index(asked) <= order.index(granted))

    def test_a_rule_that_says_nothing_of_remediation_allows_none(self) -> None:
        assert rules({}).max_action("security", WITH_ROLE) is NONE

    def test_without_remediation_audits_stay_allowed(self) -> None:
        access = rules({"namespaces": ["security"], "remediation": "RemoveConsoleAccess"}).without_remediation()
        assert access.max_action("security", WITH_ROLE) is NONE
        assert (access.allows("security", WITH_ROLE), access.allows("other", WITH_ROLE)) == (True, False)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "access"),
        ({"acess": []}, "acess"),
        ({"access": [], "other": 1}, "other"),
        ({"access": [{"namespace": ["a"]}]}, "access[0]"),
        ({"access": [{}, {"remediation": "Delete"}]}, "access[1].remediation"),
        ({"access": [{"remediation": None}]}, "access[0].remediation"),
        ({"access": [{"accounts": [111122223333]}]}, "access[0].accounts[0]"),
        ({"access": [{"namespaces": "security"}]}, "access[0].namespaces"),
        ({"access": [{"roles": [""]}]}, "access[0].roles[0]"),
        ({"access": [{"namespaces": []}]}, "access[0].namespaces"),
        ({"access": [{"accounts": []}]}, "access[0].accounts"),
        ({"access": [{"roles": []}]}, "access[0].roles"),
        ({"access": [{"roles": ["**"]}]}, "access[0].roles: '**' matches no role"),
        ({"access": [{"roles": ["*", "arn:*:role/mfa"]}]}, "access[0].roles: 'arn:*:role/mfa' matches no role"),
        (["access"], ""),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_the_field(value: object, field: str) -> None:
    with pytest.raises(InvalidObject) as refused:
        AccessRules.from_dict(value)
    assert field in str(refused.value)


class TestDiscovering:
    """Who may list an organization, and through which role."""

    LISTER = "arn:aws:iam::999988887777:role/mfa-operator-organization"

    def test_without_a_file_everybody_may(self) -> None:
        assert AccessRules().may_discover("anywhere", self.LISTER)
        assert AccessRules().may_discover("anywhere", None)

    @pytest.mark.parametrize("role", [LISTER, None], ids=["a role", "own credentials"])
    @pytest.mark.parametrize(
        ("entries", "allowed"),
        [
            ([{}], False),
            ([{"organization": True}], True),
            ([{"namespaces": ["team-*"], "organization": True}], False),
            ([{"namespaces": ["security"]}, {"organization": True}], False),
            ([{"namespaces": ["other"]}, {"organization": True}], True),
        ],
    )
    def test_only_where_the_rule_that_matches_says_so(
        self, entries: list[dict[str, Any]], allowed: bool, role: str | None
    ) -> None:
        assert rules(*entries).may_discover("security", role) is allowed

    @pytest.mark.parametrize(
        ("rule", "through_the_role"),
        [
            ({"roles": ["arn:aws:iam::*:role/mfa-operator"]}, False),
            ({"roles": ["arn:aws:iam::*:role/mfa-operator*"]}, True),
            ({"accounts": ["111122223333"]}, False),
            ({"accounts": ["9999*"]}, True),
        ],
    )
    def test_the_role_that_lists_is_held_to_accounts_and_roles(
        self, rule: dict[str, Any], through_the_role: bool
    ) -> None:
        access = rules(rule | {"organization": True})
        assert access.may_discover("security", self.LISTER) is through_the_role
        assert access.may_discover("security", None)
