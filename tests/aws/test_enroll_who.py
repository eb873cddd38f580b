"""`mfa-operator enroll`: who is enrolled and by whom, and what cannot work is told before anything is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mfa_operator.cli.enroll import command
from mfa_sandbox.aws import EmbeddedAws
from mfa_sandbox.aws.principals import Principal
from tests.aws.enroll_world import CREATE, ID, SERIAL, Enrolling, enrolling

ROLE = f"arn:aws:iam::{ID}:role/enroller"


@pytest.fixture
def enroll(aws: EmbeddedAws) -> Iterator[Enrolling]:
    with enrolling(aws) as made:
        yield made


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        (f"arn:aws:iam::{ID}:root", "root's own MFA device is added in the console"),
        (f"arn:aws:sts::{ID}:assumed-role/admin/person", "which is not an IAM user; name the user with --user"),
    ],
)
def test_root_and_roles_have_to_name_the_user(enroll: Enrolling, arn: str, message: str) -> None:
    caller, _ = enroll.aws.world.principals.issue(Principal(ID, arn, ID, unrestricted=True), None)
    ended = enroll(who=caller)
    assert message in ended.said
    assert ended.status == 3
    assert enroll.aws.calls.operations() == {"GetCallerIdentity": 1}


@pytest.mark.parametrize("external_id", ["acme-7f3a", "wrong"])
def test_a_role_leads_into_another_account(enroll: Enrolling, external_id: str) -> None:
    enroll.account.trust("enroller", "acme-7f3a")
    ended = enroll(
        *("--user", "alice", "--role-arn", ROLE, "--external-id", external_id),
        who=enroll.aws.world.operator_credentials,
    )
    if external_id == "wrong":
        operator = enroll.aws.world.operator.arn
        assert f"the role could not be assumed: User: {operator} is not authorized to perform" in ended.said
        assert "its external id, or these credentials' right to sts:AssumeRole" in ended.said
        assert ended.status == 1
    else:
        assert f"Acting as arn:aws:sts::{ID}:assumed-role/enroller/mfa-operator" in ended.said
        assert ended.status == 0
        assert enroll.alice.mfa_serials == [SERIAL]


@pytest.mark.parametrize(
    ("arguments", "environment", "message", "status"),
    [
        (["--user", "carol"], {}, f"there is no IAM user carol in account {ID}", 3),
        ([], {"AWS_PROFILE": "nobody"}, "(nobody) could not be found", 3),
        ([], {"AWS_ACCESS_KEY_ID": "AKIANOBODYKNOWSTHIS0"}, "AWS does not accept the credentials", 1),
        ([], {"AWS_SECRET_ACCESS_KEY": ""}, "set AWS credentials as for any AWS SDK", 1),
        ([], {"AWS_REGION": "mars"}, "mfa-operator: AWS has no region 'mars'", 1),
        ([], {"AWS_CONFIG_FILE": __file__}, "invalid AWS settings: Unable to parse config file", 3),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_made(
    enroll: Enrolling, arguments: list[str], environment: dict[str, str], message: str, status: int
) -> None:
    ended = enroll(*arguments, environment=environment)
    assert message in ended.said
    assert ended.status == status
    assert enroll.aws.calls.count(CREATE) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "al ice"], "--user is 'al ice'"),
        (["--user", "<root_account>"], "--user is '<root_account>'"),
        (["--user", "a" * 65], "up to 64"),
        (["--user", "alïce"], "--user is 'alïce'"),
        (["--user", "alice", "--device-name", "my/phone"], "--device-name is 'my/phone'"),
        (["--user", "alice", "--role-arn", "mfa-operator"], "arn:aws:iam::111122223333:role/mfa-operator"),
        (["--user", "alice", "--external-id", "x1"], "needs --role-arn"),
        (["--user", "alice", "--role-arn", ROLE, "--external-id", "a b"], "--external-id is 'a b'"),
        (["--role-arn", ROLE], "name the user with --user"),
        (["--user", "alice", "--seed", "--qr-png", "x.png"], "exclude each other"),
        (["--user", "alice"], "enroll needs a terminal"),
    ],
)
def test_bad_input_is_told(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 3
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_an_existing_file_is_never_written_over(enroll: Enrolling, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "qr.png"
    if kind == "file":
        file.write_text("precious")
    else:
        file.symlink_to(tmp_path / "target")
    ended = enroll("--qr-png", str(file))
    assert f"--qr-png: {file} exists" in ended.said
    assert ended.status == 3
    assert [path.name for path in tmp_path.iterdir()] == ["qr.png"]
    assert kind == "dangling link" or file.read_text() == "precious"
    assert len(enroll.aws.calls) == 0
