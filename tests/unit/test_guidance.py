"""What a finding tells the person who reads it: what is wrong, and the two ways out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.api.enums import ROOT_USER, FindingReason, FindingState
from mfa_operator.config.settings import RUNBOOK_BASE_URL
from mfa_operator.reporting.guidance import PAGE, in_brief, problem, ways_out
from tests.unit.facts import ID, finding

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbooks" / "console-user-without-mfa.md"
RUNBOOK_URL = f"{RUNBOOK_BASE_URL}/{PAGE}"
# What IAM allows in a user's name, and what it does not: nothing may get through to a shell.
NAMES = st.text("abcXYZ019+=,.@_-", min_size=1, max_size=64) | st.text("ab'\";$`()&| \\", min_size=1, max_size=12)


def commands(text: str) -> list[list[str]]:
    """The commands between backticks, as a shell would split them."""
    return [shlex.split(command) for command in re.findall(r"`([^`]*)`", text)]


@pytest.mark.parametrize("state", [FindingState.VIOLATING, FindingState.OVERDUE])
def test_there_are_two_ways_out_and_the_page_with_every_step(state: FindingState) -> None:
    enable, remove, runbook = ways_out(finding("alice", state), ID)
    assert enable.startswith("Enable MFA: IAM console > Users > alice > Security credentials")
    assert commands(enable) == [
        ["mfa-operator", "enroll", "--user", "alice"],
        [
            *("aws", "iam", "create-virtual-mfa-device", "--virtual-mfa-device-name", "alice"),
            *("--outfile", "seed.png", "--bootstrap-method", "QRCodePNG"),
        ],
        [
            *("aws", "iam", "enable-mfa-device", "--user-name", "alice"),
            *("--serial-number", f"arn:aws:iam::{ID}:mfa/alice"),
            *("--authentication-code1", "CODE", "--authentication-code2", "NEXT_CODE"),
        ],
    ]
    assert "the seed file is a secret: delete it" in enable
    assert commands(remove) == [["aws", "iam", "delete-login-profile", "--user-name", "alice"]]
    assert runbook == f"Runbook: {RUNBOOK_URL}"


@pytest.mark.parametrize("state", [FindingState.EXEMPT, FindingState.UNKNOWN, FindingState.REMEDIATED])
def test_nothing_is_to_be_done_about_who_does_not_violate(state: FindingState) -> None:
    assert ways_out(finding(state=state), ID) == ()


def test_the_device_is_in_the_accounts_partition() -> None:
    assert f"arn:aws-us-gov:iam::{ID}:mfa/alice" in ways_out(finding("alice"), ID, "aws-us-gov")[0]


def test_root_has_ways_out_of_its_own() -> None:
    told = " ".join(ways_out(finding(ROOT_USER, reason=FindingReason.ROOT_NO_MFA), ID))
    assert "sign in as root" in told
    assert "remove root's password and keys" in told
    assert "--user-name" not in told
    assert "--user" not in in_brief(finding(ROOT_USER))
    assert RUNBOOK_URL in told
    assert RUNBOOK_URL in in_brief(finding(ROOT_USER))
    assert f"https://wiki/runbooks/{PAGE}" in in_brief(finding(ROOT_USER), "https://wiki/runbooks")


@given(NAMES.filter(lambda name: "`" not in name))
def test_the_name_is_one_word_to_the_shell(name: str) -> None:
    enable, remove, _ = ways_out(finding(name), ID)
    enroll, create, activate = commands(enable)
    assert enroll[-1] == name
    assert create[create.index("--virtual-mfa-device-name") + 1] == name
    assert activate[activate.index("--user-name") + 1] == name
    assert activate[activate.index("--serial-number") + 1] == f"arn:aws:iam::{ID}:mfa/{name}"
    assert commands(remove)[0][-1] == name
    assert [command[-1] for command in commands(in_brief(finding(name)))] == [name, name]


@pytest.mark.parametrize("reason", FindingReason)
def test_every_reason_has_words(reason: FindingReason) -> None:
    assert (
        problem(finding(reason=reason)) != problem(finding(reason=FindingReason.NO_MFA))
        or reason is FindingReason.NO_MFA
    )
    assert str(reason) not in problem(finding(reason=reason))


def test_a_reason_of_a_newer_operator_is_shown_as_it_is() -> None:
    assert "PasskeyLent" in problem(finding(reason="PasskeyLent"))  # type: ignore[arg-type]  # as read from a newer report


def test_the_page_that_the_link_leads_to_is_there() -> None:
    assert RUNBOOK.name == PAGE
    assert RUNBOOK.is_file()
