"""The commands that Events name can be pasted as they are."""

from __future__ import annotations

import shlex

from mfa_operator.api.policy import Account
from mfa_operator.reporting.commands import release_command, restart_command

ID = "111122223333"
ROLE = f"arn:aws:iam::{ID}:role/mfa-operator"
EXEC = "kubectl -n mfa-operator exec deploy/mfa-operator --"


def test_the_command_names_account_role_and_users() -> None:
    account = Account(id=ID, role_arn=ROLE, external_id="acme-7f3a")
    command = release_command(account, ["alice", "-rf"], prefix=EXEC)
    assert command.startswith(f"{EXEC} mfa-operator release ")
    assert shlex.split(command)[len(shlex.split(EXEC)) :] == [
        *("mfa-operator", "release", "--account", ID, "--role-arn", ROLE, "--external-id", "acme-7f3a"),
        *("--user", "alice", "--user", "-rf"),
    ]


def test_without_users_everybody_is_released() -> None:
    assert release_command(Account(id=ID)) == f"mfa-operator release --account {ID} --all"


def test_what_is_too_long_for_an_event_is_left_to_the_reader() -> None:
    account = Account(id=ID, role_arn=f"arn:aws:iam::{ID}:role/{'p/' * 200}r", external_id="x" * 1224)
    command = release_command(account)
    assert command == f"mfa-operator release --account {ID} --role-arn ROLE_ARN --external-id EXTERNAL_ID --all"


def test_the_pods_to_restart_are_those_that_the_prefix_names() -> None:
    assert restart_command(EXEC) == "kubectl -n mfa-operator rollout restart deploy/mfa-operator"
    for unknown in ("", "docker exec 'mfa-operator", "kubectl -n mfa-operator exec mfa-operator-0 --"):
        assert restart_command(unknown) == "kubectl -n NAMESPACE rollout restart deploy/NAME"
