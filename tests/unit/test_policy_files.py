"""Policies and earlier results from files: what is good is read, what is bad is told with file, line and field."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.conversion import to_dict
from mfa_operator.api.objects import PolicyRef
from mfa_operator.api.status import ReportStatus
from mfa_operator.config.yaml_source import NotYaml, documents
from mfa_operator.offline.policy_files import InvalidInput, load_policy, load_previous
from tests.unit.facts import ID, NOW, finding

EXAMPLES = sorted((Path(__file__).parents[2] / "deploy" / "examples").glob("*.yaml"))
GOOD = f"""\
# A comment, and the start of a document.
---
apiVersion: mfa-operator.io/v1alpha1
kind: MfaPolicy
metadata:
  name: console-mfa
spec:
  interval: 15m
  accounts:
    - id: "{ID}"
      name: payments
    - id: "444455556666"
  exemptions:
    - users: [glass]
      reason: Sealed
      expires: 2027-06-30T00:00:00Z
"""


def chained(first: str, link: str, *, times: int = 9, links: int = 10) -> str:
    """A line for each link of a chain: it names the one before several times."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{each}: &a{each} " + link.format(", ".join([f"*a{each - 1}"] * times)) for each in range(1, links)]
    return "\n".join(lines)


AGAIN = "\n    - {users: *users, reason: Again}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def refused(path: Path) -> str:
    with pytest.raises(InvalidInput) as error:
        load_policy(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_a_good_file_is_read_and_an_unquoted_time_is_a_time(file: Path) -> None:
    file.write_text(GOOD)
    policy = load_policy(file)
    assert policy.ref == PolicyRef("default", "console-mfa")
    assert [account.id for account in policy.spec.accounts] == [ID, "444455556666"]
    assert str(policy.spec.exemptions[0].expires) == "2027-06-30 00:00:00+00:00"


def test_what_looks_like_a_time_is_a_string_as_to_kubernetes(file: Path) -> None:
    file.write_text(GOOD.replace("name: payments", "name: 2026-03-02"))
    assert load_policy(file).spec.accounts[0].name == "2026-03-02"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_can_be_audited_from_its_file(path: Path) -> None:
    assert load_policy(path).spec.accounts


@pytest.mark.parametrize(
    "text", [GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD, GOOD + "---\n", GOOD + "...\n", "---\n" + GOOD]
)
def test_forms_that_editors_leave_behind_are_read(file: Path, text: str) -> None:
    file.write_bytes(text.encode())
    assert load_policy(file).spec.accounts


@pytest.mark.parametrize(
    ("was", "becomes", "line", "words"),
    [
        (f'id: "{ID}"', 'id: "1111"', 10, "spec.accounts[0].id: invalid value '1111'; an account id is 12 digits"),
        (
            f'id: "{ID}"',
            "id: 111122223333",
            10,
            "spec.accounts[0].id: expected text, found a number (111122223333); an account id is 12 digits, in quotes",
        ),
        (f'id: "{ID}"', 'id: "444455556666"', 9, "spec.accounts: 444455556666 is here twice"),
        ("interval: 15m", "interval: 10s", 8, "spec.interval: is 10s; it must be from 1m to 24h"),
        ("interval: 15m", "intervall: 15m", 8, "spec.intervall: unknown field 'intervall'"),
        ("      name: payments", "      role: x", 11, "spec.accounts[0].role: unknown field 'role'"),
        ("      reason: Sealed", "", 14, "spec.exemptions[0].reason: is missing"),
        ("2027-06-30T00:00:00Z", "soon", 16, "spec.exemptions[0].expires: invalid RFC3339"),
        ("kind: MfaPolicy", "kind: Deployment", 4, "kind: is 'Deployment'; expected 'MfaPolicy'"),
        ("apiVersion: mfa-operator.io/v1alpha1", "apiVersion: v1", 3, "apiVersion: is 'v1'; expected"),
        ("name: console-mfa", "labels: {}", 5, "metadata.name: the policy needs a name"),
        ("  interval: 15m", "  interval: 15m\n  interval: 20m", 9, "interval is here twice"),
        ("  interval: 15m", "  interval: [15m", 9, "not YAML: "),
        ("  interval: 15m", "\tinterval: 15m", 8, "not YAML: "),
        ("  interval: 15m", "  interval: *later", 8, "not YAML: found undefined alias"),
        ("interval: 15m", "interval: !!python/object:os.system 15m", 8, "not YAML: could not determine a constructor"),
        ("interval: 15m", "organization: {roleArn: x}", 8, "spec.organization.roleArn: invalid value 'x'; a role is"),
        ("interval: 15m", "interval: 1:30", 8, "spec.interval: invalid duration '1:30'; write it like 90s"),
        ("interval: 15m", "interval: 1:30.5", 8, "spec.interval: invalid duration '1:30.5'"),
        ("interval: 15m", "interval: !!binary aGk=", 8, "not YAML: could not determine a constructor"),
        ("interval: 15m", "interval: !!int x", 8, "invalid number"),
        ("interval: 15m", "interval: " + "9" * 5000, 8, "a number of more than 64 digits"),
        ("interval: 15m", "interval: 0x" + "f" * 5000, 8, "a number of more than 64 digits"),
        ("interval: 15m", "? [a]\n  : b", 8, "a key is a list or a mapping; keys are text"),
        ("interval: 15m", "1: x", 8, "the key 1 is a number; keys are text: write '1'"),
        ("interval: 15m", "yes: x", 8, "the key yes is true or false; keys are text: write 'yes'"),
        ("interval: 15m", "~: x", 8, "the key ~ is no value; keys are text: write '~'"),
        ("interval: 15m", "interval: &again [*again]", 8, "this contains an alias for itself"),
        ("reason: Sealed", "reason: Sealed\n      tags: {1: x}", 16, "the key 1 is a number"),
        ("name: console-mfa", "name: 5", 6, "metadata.name: 5 is not text; write it in quotes"),
        ("name: console-mfa", "name: [a]", 6, "metadata.name: ['a'] is not text"),
        ("name: console-mfa", "name: Console_MFA", 6, "metadata.name: Kubernetes refuses the name 'Console_MFA'"),
        ("name: console-mfa", "name: a..b", 6, "metadata.name: Kubernetes refuses the name 'a..b'"),
        ("name: console-mfa", "name: " + "a" * 64, 6, "metadata.name: has more than 63 characters"),
        ("name: console-mfa", "name: a\n  namespace: 5", 7, "metadata.namespace: 5 is not text"),
        ("name: console-mfa", "name: a\n  namespace: a.b", 7, "metadata.namespace: Kubernetes refuses the name 'a.b'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_field(
    file: Path, was: str, becomes: str, line: int, words: str
) -> None:
    assert was in GOOD
    file.write_text(GOOD.replace(was, becomes, 1))
    assert refused(file).startswith(f":{line}: {words}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ": the file is empty; it needs an MfaPolicy"),
        ("# nothing\n---\n", ": the file is empty; it needs an MfaPolicy"),
        ("null\n", ": the file is empty"),
        (GOOD + "---\n" + GOOD, ":20: a second document begins here; give each policy its own file and -f"),
        ("- a\n- b\n", ":1: expected an MfaPolicy, found list"),
        ("just words\n", ":1: expected an MfaPolicy, found str"),
        ('{"apiVersion": "v1"}', ":1: apiVersion: is 'v1'"),
        ("{", ":1: not YAML: "),
        ("a: \x00", ": not YAML: "),
        ("[" * 100_000, ":1: more than 64 levels of nesting"),
        ("{a: " * 100_000, ":1: more than 64 levels of nesting"),
        ("- " * 100_000, ":1: more than 64 levels of nesting"),
        ("\n".join("  " * level + "a:" for level in range(100)), ":65: more than 64 levels of nesting"),
        ("[" + "a," * 250_001 + "]", ":1: more than 250,000 values"),
        ("#" * 4_000_000, ": more than 3,145,728 characters"),
        (chained("[x]", "[{}]"), ":7: aliases make this more than 250,000 values"),
        (chained("{k: v}", "{{<<: [{}]}}"), ":7: aliases make this more than 250,000 values"),
        (chained("[x]", "[{}]", times=1, links=70), ":65: aliases make this more than 64 levels of nesting"),
        (
            "metadata: 5\nkind: MfaPolicy\napiVersion: mfa-operator.io/v1alpha1\n",
            ":1: metadata.name: the policy needs a name",
        ),
        ("kind: MfaPolicy\napiVersion: mfa-operator.io/v1alpha1\nmetadata: {name: x}\n", ":1: spec: is missing"),
        (
            "kind: MfaPolicy\napiVersion: mfa-operator.io/v1alpha1\nmetadata: {name: x}\nspec:\n",
            ":4: spec: expected a mapping, found nothing",
        ),
    ],
)
def test_what_is_no_policy_is_told_in_one_line(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    assert refused(file).startswith(words)


def test_anchors_and_merges_of_an_ordinary_size_are_read(file: Path) -> None:
    file.write_text(GOOD.replace("      name: payments", "      <<: {name: merged}"))
    assert load_policy(file).spec.accounts[0].name == "merged"
    file.write_text(GOOD.replace("- users: [glass]", "- users: &users [glass]").rstrip() + AGAIN)
    assert [each.users for each in load_policy(file).spec.exemptions] == [("glass",), ("glass",)]


def test_a_file_without_an_end_is_read_as_far_as_it_may_be(tmp_path: Path) -> None:
    assert refused(Path("/dev/zero")) == ": more than 3,145,728 characters"
    (tmp_path / "previous").write_text("[" * 2000)
    with pytest.raises(InvalidInput, match="more than 1,024 characters"):
        load_previous(tmp_path / "previous", limit=1024)


def test_what_is_no_text_or_no_file_is_told_too(file: Path, tmp_path: Path) -> None:
    assert refused(file) == ": cannot be read: No such file or directory"
    assert refused(tmp_path) == ": cannot be read: Is a directory"
    file.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    assert refused(file).startswith(": is not UTF-8 text")


@given(st.text(max_size=200) | st.lists(st.sampled_from(GOOD.splitlines()), max_size=20).map("\n".join))
def test_whatever_the_text_it_is_a_policy_or_a_sentence(text: str) -> None:
    try:
        found = documents(text)
    except NotYaml as error:
        said, line = str(error), error.line
    else:
        said, line = "fine", None
        assert all(document.line("spec.accounts[0].id") >= 1 for document in found)
    assert said
    assert line is None or 1 <= line <= text.count("\n") + 1


REPORT = ReportStatus(account_id=ID, findings=(finding(first_seen=NOW),))


def written(**policy: Any) -> dict[str, Any]:
    usual = {"namespace": "default", "name": "console-mfa", "status": {}, "reports": [to_dict(REPORT)]}
    return {"policies": [usual | policy]}


REPORT_WITHOUT_ZONE = {
    "accountId": ID,
    "findings": [{"user": "alice", "state": "Violating", "firstSeen": "2026-11-24T12:00:00"}],
}
"""Edited by hand: no other moment could be compared with it, and the account would count as failed by a bug."""


def test_an_earlier_result_is_read_by_policy_and_account(file: Path) -> None:
    file.write_text(json.dumps(written()))
    assert load_previous(file) == {(PolicyRef("default", "console-mfa"), ID): REPORT}
    file.write_text(json.dumps({"policies": []}))
    assert load_previous(file) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ": not JSON: "),
        (GOOD, ": not JSON: "),
        ("[]", ": not what `mfa-operator audit -o json` writes"),
        ("null", ": not what `mfa-operator audit -o json` writes"),
        ("{}", ": not what `mfa-operator audit -o json` writes: 'policies' is missing"),
        ('{"policies": [5]}', ": not what `mfa-operator audit -o json` writes"),
        (json.dumps(written(reports=["x"])), ": not what `mfa-operator audit -o json` writes"),
        (
            json.dumps(written(reports=[{"accountId": ID, "findings": [{"user": "a", "state": "Bad"}]}])),
            ": in a report: findings[0].state",
        ),
        (
            json.dumps(written(reports=[{"accountId": 5}])),
            ": in a report: accountId: expected text, found a number (5)",
        ),
        (
            json.dumps(written(reports=[REPORT_WITHOUT_ZONE])),
            ": in a report: findings[0].firstSeen: expected a time with a timezone, such as Z; found",
        ),
        (json.dumps(written(reports=[{"accountId": [5]}])), ": "),
        (json.dumps(written(namespace={})), ": "),
        ("[" * 100_000, ": not what `mfa-operator audit -o json` writes: nested too deeply"),
        ('{"a":' * 100_000, ": not what `mfa-operator audit -o json` writes: nested too deeply"),
    ],
)
def test_what_is_no_earlier_result_is_told_in_one_line(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput, match=re.escape(f"{file}{words}")) as error:
        load_previous(file)
    assert "\n" not in str(error.value)
