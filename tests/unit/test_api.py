"""Reading an MfaPolicy: every field, and the words for people where one is wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import InvalidObject, to_dict
from mfa_operator.api.duration import Duration
from mfa_operator.api.enums import DeviceType, RemediationAction, RootRequirement, UserScope
from mfa_operator.api.objects import PolicyRef, known_status, policy_ref, read_policy, report_name, requested_at
from mfa_operator.api.status import PolicyStatus, ServedBy
from tests.unit.facts import ID, spec

EXAMPLES = sorted((Path(__file__).parents[2] / "deploy" / "examples").glob("*.yaml"))
ROLE = f"arn:aws:iam::{ID}:role/mfa-operator"


def body(**fields: Any) -> dict[str, Any]:
    usual = {
        "apiVersion": "mfa-operator.io/v1alpha1",
        "kind": "MfaPolicy",
        "metadata": {"name": "console-mfa", "namespace": "security", "uid": "u-1", "generation": 3},
        "spec": {"accounts": [{"id": ID}]},
    }
    return usual | fields


FULL: dict[str, Any] = {
    "suspend": True,
    "interval": "1h30m",
    "accounts": [{"id": ID, "name": "payments", "roleArn": ROLE, "externalId": "acme-7f3a"}, {"id": "444455556666"}],
    "requirement": {"users": "All", "root": "HardwareMfa", "deviceTypes": ["SecurityKey", "Sms"]},
    "maxStaleness": "0s",
    "gracePeriod": "72h",
    "exemptions": [
        {
            "users": ["break-glass-*", "/service/*"],
            "accounts": [ID],
            "tags": {"mfa-exempt": "true"},
            "reason": "Sealed",
            "expires": "2027-06-30T02:00:00+02:00",
        }
    ],
    "remediation": {
        "action": "QuarantineUntilMfa",
        "dryRun": False,
        "maxPerPass": 7,
        "maxPercent": 20,
        "quarantineAccessKeys": True,
    },
}


def test_every_field_is_read() -> None:
    policy = read_policy(body(spec=FULL))
    assert (policy.ref, policy.uid, policy.generation) == (PolicyRef("security", "console-mfa"), "u-1", 3)
    found = policy.spec
    assert (found.suspend, found.interval.delta) == (True, timedelta(minutes=90))
    first, second = found.accounts
    assert (first.id, first.name, first.role_arn, first.external_id) == (ID, "payments", ROLE, "acme-7f3a")
    assert (second.name, second.role_arn, second.external_id, second.partition) == ("", None, None, None)
    assert (found.requirement.users, found.requirement.root) == (UserScope.ALL, RootRequirement.HARDWARE_MFA)
    assert found.requirement.accepted == {DeviceType.SECURITY_KEY, DeviceType.SMS}
    assert (found.max_staleness.delta, found.grace_period.delta) == (timedelta(), timedelta(hours=72))
    [exemption] = found.exemptions
    assert (exemption.users, exemption.accounts) == (("break-glass-*", "/service/*"), (ID,))
    assert (dict(exemption.tags), exemption.reason) == ({"mfa-exempt": "true"}, "Sealed")
    assert exemption.expires == datetime(2027, 6, 30, tzinfo=UTC)
    done = found.remediation
    assert (done.action, done.dry_run, done.max_per_pass) == (RemediationAction.QUARANTINE, False, 7)
    assert (done.max_percent, done.quarantine_access_keys) == (20, True)


def test_what_is_left_out_touches_nothing() -> None:
    found = read_policy(body()).spec
    assert found == spec()
    assert (found.suspend, found.remediation.action, found.remediation.dry_run) == (False, RemediationAction.NONE, True)
    assert found.requirement.accepted == frozenset(DeviceType) - {DeviceType.SMS}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_read(path: Path) -> None:
    assert read_policy(yaml.safe_load(path.read_text(encoding="utf-8"))).spec.accounts


@pytest.mark.parametrize(
    ("arn", "partition"),
    [
        (ROLE, "aws"),
        (f"arn:aws-cn:iam::{ID}:role/x", "aws-cn"),
        (f"arn:aws-us-gov:iam::{ID}:role/a/b/x", "aws-us-gov"),
        (f"arn:aws-eusc:iam::{ID}:role/x", "aws-eusc"),
        (f"arn:aws-iso-b:iam::{ID}:role/x", "aws-iso-b"),
    ],
)
def test_the_partition_is_the_roles(arn: str, partition: str) -> None:
    assert spec(accounts=[{"id": ID, "roleArn": arn}]).accounts[0].partition == partition


def account(**fields: Any) -> dict[str, Any]:
    return {"accounts": [{"id": ID} | fields]}


def organization(**fields: Any) -> dict[str, Any]:
    return {"organization": fields}


def exempt(**fields: Any) -> dict[str, Any]:
    return {"exemptions": [{"users": ["a"], "reason": "x"} | fields]}


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"accounts": []}, "spec.accounts", "length >= 1"),
        ({"accounts": [{"id": ID}, {"id": ID}]}, "spec.accounts", f"{ID} is here twice"),
        ({"accounts": [{"name": "x"}]}, "spec.accounts[0].id", "is missing"),
        (account(id=111122223333), "spec.accounts[0].id", "12 digits, in quotes"),
        (account(id="11112222333"), "spec.accounts[0].id", "invalid value '11112222333'; an account id is 12 digits"),
        (account(id=ID + "\n"), "spec.accounts[0].id", "12 digits"),
        (account(id="١١١١٢٢٢٢٣٣٣٣"), "spec.accounts[0].id", "12 digits"),
        (account(roleArn="mfa-operator"), "spec.accounts[0].roleArn", "a role is written like arn:aws:iam::"),
        (account(roleArn=ROLE.replace(":aws:", ":aws-mars:")), "spec.accounts[0].roleArn", "a role is written like"),
        (
            account(roleArn="arn:aws:iam::444455556666:role/x"),
            "spec.accounts[0].roleArn",
            f"444455556666, but id is {ID}",
        ),
        (account(externalId="acme"), "spec.accounts[0].externalId", "needs roleArn"),
        (account(roleArn=ROLE, externalId="ä b"), "spec.accounts[0].externalId", "invalid value 'ä b'"),
        (account(rolearn=ROLE), "spec.accounts[0].rolearn", "unknown field"),
        ({"intervall": "15m"}, "spec.intervall", "unknown field"),
        ({"interval": "10s"}, "spec.interval", "is 10s; it must be from 1m to 24h"),
        ({"interval": "25h"}, "spec.interval", "from 1m to 24h"),
        ({"interval": 15}, "spec.interval", "invalid duration 15; write it in quotes"),
        ({"interval": "soon"}, "spec.interval", "invalid duration 'soon'; write it like 90s, 15m, 4h or 1h30m"),
        ({"interval": "1d"}, "spec.interval", "invalid duration '1d'"),
        ({"maxStaleness": "24h1m"}, "spec.maxStaleness", "from 0s to 24h"),
        ({"maxStaleness": "-1h"}, "spec.maxStaleness", "invalid duration '-1h'"),
        ({"gracePeriod": "8761h"}, "spec.gracePeriod", "from 0s to 8760h"),
        ({"suspend": "yes"}, "spec.suspend", "expected true or false, found text ('yes')"),
        (
            {"requirement": {"users": "Nobody"}},
            "spec.requirement.users",
            "invalid value 'Nobody'; it must be Console or All",
        ),
        ({"requirement": {"root": "mfa"}}, "spec.requirement.root", "'mfa'; it must be Ignore, Mfa or HardwareMfa"),
        (
            {"requirement": {"deviceTypes": ["SMS"]}},
            "spec.requirement.deviceTypes[0]",
            "it must be Virtual, SecurityKey",
        ),
        ({"acounts": []}, "spec.acounts", "unknown field 'acounts'; did you mean 'accounts'?"),
        ({"remediation": {"dryrun": True}}, "spec.remediation.dryrun", "'dryrun'; did you mean 'dryRun'?"),
        ({"requirement": {"deviceTypes": []}}, "spec.requirement.deviceTypes", "length >= 1"),
        ({"requirement": {"deviceTypes": ["Sms"] * 2}}, "spec.requirement.deviceTypes", "Sms is here twice"),
        (exempt(reason=""), "spec.exemptions[0].reason", "length >= 1"),
        ({"exemptions": [{"users": ["a"]}]}, "spec.exemptions[0].reason", "is missing"),
        (exempt(users=[]), "spec.exemptions[0].users", "length >= 1"),
        (exempt(users=["a", "a"]), "spec.exemptions[0].users", "a is here twice"),
        (exempt(accounts=["1"]), "spec.exemptions[0].accounts[0]", "12 digits"),
        (exempt(tags={"": "x"}), "spec.exemptions[0].tags", "1 to 128 characters"),
        (exempt(tags={"a": 1}), "spec.exemptions[0].tags", "expected text, found a number"),
        (exempt(tags={1: "a"}), "spec.exemptions[0].tags", "expected text, found a number"),
        (exempt(expires="tomorrow"), "spec.exemptions[0].expires", "a time is written like 2027-06-30T00:00:00Z"),
        (exempt(expires="2027-06-30"), "spec.exemptions[0].expires", "found '2027-06-30'"),
        (exempt(expires="2027-06-30T00:00:00"), "spec.exemptions[0].expires", "timezone"),
        ({"remediation": {"maxPercent": 0}}, "spec.remediation.maxPercent", "expected 'int' >= 1; found 0"),
        ({"remediation": {"maxPerPass": 5001}}, "spec.remediation.maxPerPass", "<= 5000; found 5001"),
        (
            {"remediation": {"quarantineAccessKeys": True}},
            "spec.remediation.quarantineAccessKeys",
            "needs action QuarantineUntilMfa",
        ),
        ({"requirement": None}, "spec.requirement", "expected a mapping, found nothing"),
        ({"organization": []}, "spec.organization", "expected a mapping, found a list"),
        ({"organization": None, "accounts": []}, "spec.accounts", "length >= 1"),
        (organization(externalId="acme"), "spec.organization.externalId", "needs roleArn"),
        (organization(roleArn="lister"), "spec.organization.roleArn", "a role is written like arn:aws:iam::"),
        (
            organization(accountRole={"name": "security/mfa"}),
            "spec.organization.accountRole.name",
            "invalid name 'security/mfa': give the role's name alone, such as mfa-operator, without ARN; its path",
        ),
        (
            organization(accountRole={"path": "security"}),
            "spec.organization.accountRole.path",
            "invalid path 'security': it begins and ends with a slash, like / or /security/",
        ),
        (organization(accountRoleName="x"), "spec.organization.accountRoleName", "unknown field"),
        (
            organization(include={"organizationalUnits": ["/Production"]}),
            "spec.organization.include.organizationalUnits[0]",
            "invalid value '/Production'; a unit's id is written like ou-ab12-cdef3456, the root's like r-ab12",
        ),
        (
            organization(exclude={"organizationalUnits": ["r-ab12", "r-ab12"]}),
            "spec.organization.exclude.organizationalUnits",
            "r-ab12 is here twice",
        ),
        (organization(exclude={"accounts": ["1"]}), "spec.organization.exclude.accounts[0]", "12 digits"),
        (organization(include={"tags": {"": "x"}}), "spec.organization.include.tags", "1 to 128 characters"),
        (organization(refreshInterval="1m"), "spec.organization.refreshInterval", "is 1m; it must be from 5m to 24h"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(fields: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InvalidObject, match=re.escape(words)) as refused:
        spec(**fields)
    assert refused.value.path == path
    assert str(refused.value) == f"{path}: {refused.value.problem}"


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"apiVersion": "v1"}, "apiVersion", "is 'v1'; expected 'mfa-operator.io/v1alpha1'"),
        ({"kind": "MfaPolic"}, "kind", "expected 'MfaPolicy'"),
        ({"metadata": None}, "metadata.name", "needs a name"),
        ({"metadata": {"name": 5}}, "metadata.name", "5 is not text"),
        ({"metadata": {"name": "x" * 64}}, "metadata.name", "more than 63 characters"),
        ({"spec": None}, "spec", "expected a mapping, found nothing"),
        ({"spec": {}}, "spec.accounts", "nothing to audit"),
    ],
)
def test_what_is_no_policy_is_refused(fields: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InvalidObject, match=words) as refused:
        read_policy(body(**fields))
    assert refused.value.path == path


def test_an_object_without_a_spec_is_refused() -> None:
    without = body()
    del without["spec"]
    with pytest.raises(InvalidObject, match="spec: is missing"):
        read_policy(without)


@pytest.mark.parametrize("metadata", [{"generation": "x"}, {"annotations": 5}, {"uid": None}, {"annotations": None}])
def test_metadata_of_a_wrong_type_stops_nobody(metadata: dict[str, Any]) -> None:
    policy = read_policy(body(metadata={"name": "a"} | metadata))
    assert (policy.ref, policy.generation, policy.requested_at) == (PolicyRef("default", "a"), 0, "")


def test_names_and_requested_at_come_from_the_metadata() -> None:
    asked = body(metadata={"name": "a", "annotations": {"mfa-operator.io/requestedAt": "now"}})
    assert requested_at(asked) == read_policy(asked).requested_at == "now"
    assert policy_ref({}) == PolicyRef("default", "")
    assert str(PolicyRef("a", "b")) == "a/b"
    assert report_name(PolicyRef("a", "b"), ID) == f"b-{ID}"


@pytest.mark.parametrize(
    "status", [5, {"conditions": [{"type": "Ready"}]}, {"accounts": [{"id": ID, "state": "Gone"}]}]
)
def test_an_invalid_status_is_an_empty_one_and_is_logged(status: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert known_status(body(status=status)) == PolicyStatus()
    assert "security/console-mfa is invalid" in caplog.text


def test_an_invalid_status_still_says_who_serves_the_policy() -> None:
    """A newer version wrote it, perhaps: the policy was taken from an operator that lives."""
    claim = {"lease": "mfa-operator/other", "holder": "other_1"}
    read = known_status(body(status={"accounts": [{"id": ID, "state": "Gone"}], "servedBy": claim}))
    assert read == PolicyStatus(served_by=ServedBy(lease="mfa-operator/other", holder="other_1"))
    assert known_status(body(status={"accounts": 5, "servedBy": {"lease": 5}})) == PolicyStatus()


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=365)))
def test_a_duration_says_itself_so_that_it_can_be_read_again(length: timedelta) -> None:
    whole = timedelta(seconds=int(length.total_seconds()))
    assert Duration.parse(str(Duration(whole))) == Duration(whole)
    assert to_dict(Duration(whole)) == str(Duration(whole))


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("15m", 15), ("1h30m", 90), ("90s", 1.5), ("1.5h", 90), ("0s", 0), ("1m1m", 2), ("0.500s", 1 / 120)],
)
def test_durations_are_gos(text: str, minutes: float) -> None:
    assert spec(maxStaleness=text).max_staleness.delta == timedelta(minutes=minutes)


def test_a_duration_cannot_be_changed_and_is_ordered() -> None:
    one = Duration.parse("1h")
    with pytest.raises(AttributeError):
        one.delta = timedelta()
    assert Duration.parse("59m") < one <= Duration.parse("60m")
    assert len({one, Duration.parse("60m")}) == 1
    assert repr(one) == "Duration(1h)"
