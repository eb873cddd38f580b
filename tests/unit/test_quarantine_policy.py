"""What a user under quarantine can and cannot do: the policy's document is evaluated, not read."""

from __future__ import annotations

import copy
import itertools
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.aws import quarantine_document
from mfa_operator.aws.quarantine_document import Variant
from tests.unit import iam_lint
from tests.unit.iam_evaluation import Decision, Request, evaluate

ALLOW, NOTHING, DENY = Decision.ALLOW, Decision.IMPLICIT_DENY, Decision.EXPLICIT_DENY
PARTITION, ACCOUNT = "aws-us-gov", "111122223333"
IAM = f"arn:{PARTITION}:iam::{ACCOUNT}:"
VARIANTS = pytest.mark.parametrize("variant", list(Variant), ids=lambda each: str(each.name))
DOCUMENTS = {each: quarantine_document.document(PARTITION, ACCOUNT, each) for each in Variant}

ADMINISTRATOR: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
NOBODY: Mapping[str, Any] = {"Version": "2012-10-17", "Statement": []}


@dataclass(frozen=True)
class Credentials:
    """What a request is signed with, as IAM's context shows it."""

    mfa: str | None
    """None: the key is absent, as with long-term access keys."""
    via_service: str = "false"

    def context(self, user: str) -> dict[str, str | tuple[str, ...]]:
        present = {} if self.mfa is None else {"aws:MultiFactorAuthPresent": self.mfa}
        return {"aws:username": user, "aws:ViaAWSService": self.via_service, **present}


CREDENTIALS = {
    "console without MFA": Credentials("false"),
    "console with MFA": Credentials("true"),
    "session token without MFA": Credentials("false"),
    "session token with MFA": Credentials("true"),
    "long-term key": Credentials(None),
    "service acting for a long-term key": Credentials(None, via_service="true"),
    "service acting for a long-term key, said to be without MFA": Credentials("false", via_service="true"),
    "service acting for a console session with MFA": Credentials("true", via_service="true"),
}
HELD = {
    Variant.CONSOLE: {"console without MFA", "session token without MFA"},
    Variant.CONSOLE_AND_KEYS: {"console without MFA", "session token without MFA", "long-term key"},
}
"""Whom each variant holds; everybody else is to notice nothing but a few rights on their own user."""

PATHS = {"no path": "", "path": "eng/payments/"}
OWN_USER_ACTIONS = (
    "iam:ChangePassword",
    "iam:EnableMFADevice",
    "iam:GetMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ResyncMFADevice",
)
EVERYWHERE = ("iam:GetAccountPasswordPolicy", "iam:GetAccountSummary", "iam:ListVirtualMFADevices")
AUTHENTICATION = ("sts:GetCallerIdentity", "sts:GetSessionToken")
"""AWS asks for no permission here, so "not denied" is what counts."""


def enrolling(path: str) -> Iterator[tuple[str, str]]:
    """What alice needs to enrol MFA and change her password, with the resource that IAM checks it on."""
    yield from ((action, f"{IAM}user/{path}alice") for action in OWN_USER_ACTIONS)
    yield from ((action, "*") for action in EVERYWHERE)
    yield from (("iam:CreateVirtualMFADevice", f"{IAM}mfa/{name}") for name in ("alice", "her-phone", "a/path/phone"))
    yield "iam:DeleteVirtualMFADevice", f"{IAM}mfa/alice"


def other_peoples() -> Iterator[tuple[str, str]]:
    """The same actions on somebody else, with names and paths made to be taken for alice."""
    users = ("bob", "malice", "alice2", "eng/malice", "alice/bob", "eng/alice/bob", "Alice", "alice/")
    yield from itertools.product(OWN_USER_ACTIONS, (f"{IAM}user/{user}" for user in users))
    devices = ("bob", "malice", "alice2", "alice/bob", "eng/alice", "root-account-mfa-device")
    yield from (("iam:DeleteVirtualMFADevice", f"{IAM}mfa/{device}") for device in devices)


def ways_out(path: str) -> Iterator[tuple[str, str]]:
    """What would lift the quarantine without MFA, or get round it."""
    user = f"{IAM}user/{path}alice"
    yield "iam:DeactivateMFADevice", user
    yield from ((f"iam:{name}", user) for name in ("DetachUserPolicy", "AttachUserPolicy", "PutUserPolicy"))
    yield from ((f"iam:{name}", user) for name in ("CreateLoginProfile", "UpdateLoginProfile", "DeleteLoginProfile"))
    yield from ((f"iam:{name}", user) for name in ("CreateAccessKey", "UpdateAccessKey", "UpdateUser", "TagUser"))
    yield "iam:CreateServiceSpecificCredential", user
    for variant in Variant:
        policy = quarantine_document.policy_arn(PARTITION, ACCOUNT, variant)
        yield from ((f"iam:{name}", policy) for name in ("CreatePolicyVersion", "SetDefaultPolicyVersion", "TagPolicy"))
    yield from ((f"sts:{name}", f"{IAM}role/admin") for name in ("AssumeRole", "TagSession"))
    yield "sts:GetFederationToken", f"arn:{PARTITION}:sts::{ACCOUNT}:federated-user/alice"
    # `aws login` turns a console session into credentials for programs.
    yield from ((f"signin:{name}", "*") for name in ("AuthorizeOAuth2Access", "CreateOAuth2Token"))


def daily_work() -> Iterator[tuple[str, str]]:
    yield "s3:GetObject", "arn:aws-us-gov:s3:::payroll/2026.csv"
    yield "ec2:RunInstances", "*"
    yield "iam:ListUsers", "*"
    yield "cloudformation:CreateStack", "*"
    yield "anything:AwsAddsNextYear", "*"


@VARIANTS
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("others", [NOBODY, ADMINISTRATOR], ids=["no other right", "administrator"])
@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_who_may_do_what(variant: Variant, credentials: str, others: Mapping[str, Any], path: str) -> None:
    held = credentials in HELD[variant]
    elsewhere = DENY if held else ALLOW if others is ADMINISTRATOR else NOTHING
    expected = dict.fromkeys(enrolling(path), ALLOW)
    expected |= dict.fromkeys((*other_peoples(), *ways_out(path), *daily_work()), elsewhere)
    context = CREDENTIALS[credentials].context("alice")

    decided = {
        (action, resource): evaluate([DOCUMENTS[variant], others], Request(action, resource, context))
        for action, resource in expected
    }

    assert {call: decision for call, decision in decided.items() if decision is not expected[call]} == {}


@VARIANTS
@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_an_mfa_session_can_be_asked_for(variant: Variant, credentials: str) -> None:
    for action in AUTHENTICATION:
        request = Request(action, context=CREDENTIALS[credentials].context("alice"))
        assert evaluate([DOCUMENTS[variant]], request) is not DENY


@VARIANTS
@pytest.mark.parametrize("resource", ["*", f"{IAM}user/alice", f"{IAM}user/bob", f"{IAM}mfa/alice", f"{IAM}mfa/bob"])
def test_an_administrator_without_mfa_can_only_enrol(variant: Variant, resource: str) -> None:
    """No other operation of IAM or STS is allowed."""

    context = CREDENTIALS["console without MFA"].context("alice")
    permitted = {action for action, _ in enrolling("")} | set(AUTHENTICATION)

    allowed = {
        action
        for action in iam_lint.operations()
        if evaluate([DOCUMENTS[variant], ADMINISTRATOR], Request(action, resource, context)) is ALLOW
    }

    assert allowed <= permitted
    assert allowed >= set(AUTHENTICATION)


names = st.text("abcdefgABC019+=,.@_-", min_size=1, max_size=64)
# Colons are left out: how IAM compares an ARN with more than its six parts is not documented.
paths = st.lists(st.text("!#$*?[]^abcALICE09._-", min_size=1, max_size=8), max_size=4).map(
    lambda parts: "".join(f"{part}/" for part in parts)
)


@given(names, paths, names, paths, st.sampled_from(list(Variant)))
def test_a_user_reaches_themselves_and_nobody_else(
    me: str, my_path: str, other: str, other_path: str, variant: Variant
) -> None:
    context = CREDENTIALS["console without MFA"].context(me)
    both = [DOCUMENTS[variant], ADMINISTRATOR]

    assert evaluate(both, Request("iam:EnableMFADevice", f"{IAM}user/{my_path}{me}", context)) is ALLOW
    if other != me:
        assert evaluate(both, Request("iam:EnableMFADevice", f"{IAM}user/{other_path}{other}", context)) is DENY
        assert evaluate(both, Request("iam:DeleteVirtualMFADevice", f"{IAM}mfa/{other}", context)) is DENY


@VARIANTS
def test_lint(variant: Variant) -> None:
    assert iam_lint.problems(DOCUMENTS[variant]) == []


@VARIANTS
def test_whatever_is_allowed_is_spared_by_the_denial(variant: Variant) -> None:
    allowed = {
        action
        for statement in DOCUMENTS[variant]["Statement"]
        if statement["Effect"] == "Allow"
        for action in iam_lint.listed(statement["Action"])
    }
    spared = next(statement["NotAction"] for statement in DOCUMENTS[variant]["Statement"] if "NotAction" in statement)

    assert set(spared) == allowed | set(AUTHENTICATION)


@VARIANTS
def test_the_largest_document_fits_into_a_managed_policy(variant: Variant) -> None:
    text = quarantine_document.document_json("aws-iso-b", ACCOUNT, variant)

    assert json.loads(text) == quarantine_document.document("aws-iso-b", ACCOUNT, variant)
    assert len(text) < quarantine_document.MAX_CHARACTERS / 2  # room to grow without thinking of it again


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso"])
@VARIANTS
def test_every_arn_is_of_the_users_partition_and_account(partition: str, variant: Variant) -> None:
    document = quarantine_document.document(partition, "444455556666", variant)
    arns = [
        arn for each in document["Statement"] for arn in iam_lint.listed(each.get("Resource", each.get("NotResource")))
    ]

    assert {arn.rpartition("::")[0] for arn in arns} == {"", f"arn:{partition}:iam"}
    assert {arn.split(":")[4] for arn in arns if arn != "*"} == {"444455556666"}
    assert iam_lint.problems(document) == []


def test_names_and_arns() -> None:
    assert quarantine_document.policy_arn("aws", ACCOUNT, Variant.CONSOLE) == (
        f"arn:aws:iam::{ACCOUNT}:policy/mfa-operator/mfa-operator-quarantine"
    )
    assert quarantine_document.policy_arn("aws-cn", ACCOUNT, Variant.CONSOLE_AND_KEYS) == (
        f"arn:aws-cn:iam::{ACCOUNT}:policy/mfa-operator/mfa-operator-quarantine-keys"
    )
    assert Variant.of(access_keys=False) is Variant.CONSOLE is Variant.CONSOLE_AND_KEYS.other
    assert Variant.of(access_keys=True) is Variant.CONSOLE_AND_KEYS is Variant.CONSOLE.other
    assert len({each.description for each in Variant}) == 2
    assert all(each.description.isascii() and len(each.description) <= 1000 for each in Variant)


@pytest.mark.parametrize(
    ("tags", "ours"),
    [
        ([{"Key": "managed-by", "Value": "mfa-operator"}], True),
        ([{"Key": "team", "Value": "x"}, {"Key": "managed-by", "Value": "mfa-operator"}], True),
        ([{"Key": "managed-by", "Value": "terraform"}], False),
        ([{"Key": "Managed-By", "Value": "mfa-operator"}], False),
        ([], False),
        (None, False),
    ],
)
def test_a_policy_is_ours_by_its_tag(tags: list[dict[str, str]] | None, ours: bool) -> None:
    assert quarantine_document.is_ours(tags) is ours


def test_the_tags_we_set_are_the_tags_we_look_for() -> None:
    assert quarantine_document.is_ours(quarantine_document.tag_list())


def current(found: Mapping[str, Any] | str, variant: Variant = Variant.CONSOLE) -> bool:
    return quarantine_document.is_current(found, PARTITION, ACCOUNT, variant)


@VARIANTS
def test_drift_is_not_seen_where_there_is_none(variant: Variant) -> None:
    text = quarantine_document.document_json(PARTITION, ACCOUNT, variant)

    assert current(DOCUMENTS[variant], variant)
    assert current(text, variant)
    assert current(json.dumps(DOCUMENTS[variant], indent=4), variant)
    assert current(urllib.parse.quote(text), variant)
    assert current({"Id": "x", **DOCUMENTS[variant]}, variant)


@given(st.data(), st.sampled_from(list(Variant)))
def test_order_sids_lists_of_one_and_case_do_not_matter(data: st.DataObject, variant: Variant) -> None:
    document = copy.deepcopy(DOCUMENTS[variant])
    document["Statement"] = data.draw(st.permutations(document["Statement"]))
    for statement in document["Statement"]:
        statement["Sid"] = data.draw(st.text("ab", max_size=3))
        for element in ("Action", "NotAction", "Resource", "NotResource"):
            if element in statement:
                values = data.draw(st.permutations(iam_lint.listed(statement[element])))
                change = str.upper if element.endswith("Action") and data.draw(st.booleans()) else str
                statement[element] = [change(value) for value in values]
        for keys in statement.get("Condition", {}).values():
            for key in list(keys):
                value = keys.pop(key)
                keys[key.lower()] = data.draw(st.sampled_from([value, [value], value == "true"]))

    assert current(document, variant)


def mutations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every document that differs in one place: something left out, turned round, or one more of it."""
    for index, statement in enumerate(document["Statement"]):

        def changed(element: str, value: Any, at: int = index) -> dict[str, Any]:
            other: dict[str, Any] = copy.deepcopy(dict(document))
            other["Statement"][at][element] = value
            return other

        where = statement["Sid"]
        without: dict[str, Any] = copy.deepcopy(dict(document))
        del without["Statement"][index]
        yield f"{where} gone", without
        yield f"{where} turned round", changed("Effect", "Deny" if statement["Effect"] == "Allow" else "Allow")
        yield f"{where} for a principal", changed("Principal", "*")
        for element in ("Action", "NotAction", "Resource", "NotResource"):
            values = iam_lint.listed(statement.get(element, []))
            for value in values:
                yield f"{where} {element} without {value}", changed(element, [each for each in values if each != value])
            if values and values != ["*"]:
                yield f"{where} {element} and one more", changed(element, [*values, "iam:DeactivateMFADevice"])
                yield f"{where} {element} *", changed(element, "*")
        if "Condition" in statement:
            yield f"{where} without condition", changed("Condition", {})
            operator, keys = next(iter(statement["Condition"].items()))
            yield f"{where} true", changed("Condition", {operator: {**keys, "aws:MultiFactorAuthPresent": "true"}})
            yield f"{where} in doubt", changed("Condition", {f"Not{operator}": keys})
            yield f"{where} twice", changed("Condition", {operator: {"aws:MULTIFACTORAUTHPRESENT": "true", **keys}})
            yield f"{where} and more", changed("Condition", {operator: {**keys, "aws:SourceIp": "10.0.0.0/8"}})
    yield "old version", {**document, "Version": "2008-10-17"}
    yield "no version", {"Statement": document["Statement"]}
    more = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    yield "everything allowed", {**document, "Statement": [*document["Statement"], more]}
    yield "something unknown", {**document, "Else": 1}


@VARIANTS
def test_every_change_of_meaning_is_drift(variant: Variant) -> None:
    changes = dict(mutations(DOCUMENTS[variant]))

    assert len(changes) > 60
    assert [what for what, document in changes.items() if current(document, variant)] == []
    assert not current(DOCUMENTS[variant], variant.other)
    assert not quarantine_document.is_current(DOCUMENTS[variant], "aws", ACCOUNT, variant)
    assert not quarantine_document.is_current(DOCUMENTS[variant], PARTITION, "999988887777", variant)


@pytest.mark.parametrize(
    "garbage",
    ["", "null", "[]", "{}", "{", "%7B", "%ZZ", {}, {"Statement": None}, {"Statement": "x"}, {"Statement": [None]},
     {"Version": "2012-10-17", "Statement": [{"Condition": "x"}]},
     {"Version": "2012-10-17", "Statement": [{"Condition": {"Bool": {"aws:A": "1", "AWS:a": "1"}}}]},
     {"Version": "2012-10-17", "Statement": [{"Effect": {"set"}}]}],
)  # fmt: skip
def test_what_cannot_be_understood_is_drift(garbage: dict[str, Any] | str) -> None:
    assert not current(garbage)
