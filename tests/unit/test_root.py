"""Judging the root user."""

from __future__ import annotations

from typing import Any

import pytest

from mfa_operator.api.enums import ROOT_USER, FindingReason, UserState
from mfa_operator.evaluation.facts import RootFacts
from mfa_operator.evaluation.verdicts import Verdict, evaluate
from tests.unit.facts import NOW, snapshot, spec, violator

Ruling = tuple[UserState, FindingReason | None]
COMPLIANT: Ruling = (UserState.COMPLIANT, None)
NO_MFA: Ruling = (UserState.VIOLATING, FindingReason.ROOT_NO_MFA)
NO_HARDWARE: Ruling = (UserState.VIOLATING, FindingReason.ROOT_NO_HARDWARE_MFA)
FAILED: Ruling = (UserState.UNKNOWN, FindingReason.LOOKUP_FAILED)
DENIED: Ruling = (UserState.UNKNOWN, FindingReason.LOOKUP_DENIED)


def root(**fields: Any) -> RootFacts:
    usual: dict[str, Any] = {"password": True, "access_keys": False, "mfa": False, "virtual_device": False, "at": NOW}
    return RootFacts(**(usual | fields))


def judge(facts: RootFacts, requirement: str, *, partition: str = "aws", **fields: Any) -> Verdict:
    policy = spec(requirement={"root": requirement}, **fields)
    [verdict] = evaluate(policy, snapshot(root=facts, partition=partition), {}, NOW)
    assert verdict.user == ROOT_USER
    return verdict


@pytest.mark.parametrize(
    ("facts", "mfa", "hardware"),
    [
        (root(), NO_MFA, NO_MFA),
        (root(mfa=True), COMPLIANT, COMPLIANT),
        (root(mfa=True, virtual_device=True), COMPLIANT, NO_HARDWARE),
        # Nothing to protect (21): member accounts made without root credentials.
        (root(password=False), COMPLIANT, COMPLIANT),
        (root(password=False, mfa=None, virtual_device=None), COMPLIANT, COMPLIANT),
        # Keys are something to protect, and what is not known is not nothing.
        (root(password=False, access_keys=True), NO_MFA, NO_MFA),
        (root(password=False, access_keys=None), NO_MFA, NO_MFA),
        (root(password=None), NO_MFA, NO_MFA),
        (root(password=None, access_keys=None, mfa=True), COMPLIANT, COMPLIANT),
        # Could not look.
        (root(mfa=None), FAILED, FAILED),
        (root(mfa=None, failure=FindingReason.LOOKUP_DENIED), DENIED, DENIED),
        (root(mfa=True, virtual_device=None), COMPLIANT, DENIED),
    ],
)
def test_root_is_judged_by_the_accounts_summary(facts: RootFacts, mfa: Ruling, hardware: Ruling) -> None:
    verdict = judge(facts, "Mfa")
    assert (verdict.state, verdict.reason) == mfa
    verdict = judge(facts, "HardwareMfa")
    assert (verdict.state, verdict.reason) == hardware


@pytest.mark.parametrize(
    ("facts", "ruling"),
    [
        (root(password=None, access_keys=False), COMPLIANT),
        (root(password=None, access_keys=None), COMPLIANT),
        (root(password=None, access_keys=True), NO_MFA),
        (root(password=True), NO_MFA),
    ],
)
def test_govcloud_root_cannot_sign_in_and_is_compliant(facts: RootFacts, ruling: Ruling) -> None:
    """The report says not_supported and mfa false there."""
    verdict = judge(facts, "Mfa", partition="aws-us-gov")
    assert (verdict.state, verdict.reason) == ruling
    elsewhere = judge(facts, "Mfa", partition="aws-cn")
    assert (elsewhere.state, elsewhere.reason) == NO_MFA


def test_root_is_judged_on_request_and_counted_as_a_user() -> None:
    """It stands among the users and their counts, if the policy asks for it."""

    users = snapshot(violator("alice"), violator("+first"), root=root())
    assert [one.user for one in evaluate(spec(), users, {}, NOW)] == ["+first", "alice"]
    asked = evaluate(spec(requirement={"root": "Mfa"}), users, {}, NOW)
    assert [one.user for one in asked] == ["+first", ROOT_USER, "alice"]


def test_root_may_be_exempt_by_name_but_not_by_tags() -> None:
    named = judge(root(), "Mfa", exemptions=[{"users": ["<root*"], "reason": "Sealed"}])
    assert (named.state, named.reason, named.exemption) == (UserState.EXEMPT, FindingReason.ROOT_NO_MFA, "Sealed")
    tagged = judge(root(), "Mfa", exemptions=[{"users": ["*"], "reason": "Tagged", "tags": {"a": "b"}}])
    assert tagged.state is UserState.VIOLATING


def test_root_counts_as_a_console_user_where_it_has_a_password() -> None:
    assert judge(root(), "Mfa").console is True
    assert judge(root(password=False), "Mfa").console is False
    assert judge(root(password=None), "Mfa").console is None
    assert judge(root(password=None), "Mfa", partition="aws-us-gov").console is False
