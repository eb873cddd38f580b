"""Who the operator itself is follows its credentials: nobody may act on the user that it signs in as."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from mfa_operator.api.enums import UserState
from mfa_operator.api.policy import Account as PolicyAccount
from mfa_operator.aws.errors import CredentialsMissing
from mfa_operator.aws.sessions import Sessions
from mfa_operator.evaluation.verdicts import Verdict
from mfa_operator.remediation.own_users import own_users
from mfa_sandbox.aws import Account, Credentials, EmbeddedAws


class ExchangedCredentials:
    """What the SDK runs for credentials; they are about to expire, so it asks again at each call."""

    def __init__(self, folder: Path) -> None:
        self._given = folder / "given.json"
        program = folder / "program.py"
        program.write_text(f"print(open({str(self._given)!r}).read())")
        self.config = folder / "config"
        self.config.write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")

    def give(self, credentials: Credentials) -> None:
        keys = {"AccessKeyId": credentials.access_key_id, "SecretAccessKey": credentials.secret_access_key}
        expires = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        self._given.write_text(json.dumps({"Version": 1, **keys, "SessionToken": "", "Expiration": expires}))

    def take_away(self) -> None:
        self._given.unlink()


@pytest.fixture
def credentials(aws: EmbeddedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExchangedCredentials:
    made = ExchangedCredentials(tmp_path)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(made.config))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    return made


@pytest.fixture
def sessions(aws: EmbeddedAws, credentials: ExchangedCredentials) -> Iterator[Sessions]:
    made = Sessions(session=boto3.Session(region_name=aws.region))
    yield made
    made.close()


def protected(sessions: Sessions, account: Account) -> frozenset[str]:
    overdue = Verdict("bob", "/", "AIDABOB", UserState.OVERDUE)
    return own_users(sessions.account(PolicyAccount(id=account.id, role_arn=account.role_arn)), None, [overdue])


def test_it_follows_credentials_that_are_exchanged(
    aws: EmbeddedAws, account: Account, credentials: ExchangedCredentials, sessions: Sessions
) -> None:
    credentials.give(account.user("alice").credentials())
    assert protected(sessions, account) == {"alice"}
    credentials.give(account.user("bob").credentials())
    assert protected(sessions, account) == {"bob"}
    assert aws.calls.count("GetCallerIdentity") == 2


def test_it_is_asked_once_for_each_set_of_credentials(
    aws: EmbeddedAws, account: Account, credentials: ExchangedCredentials, sessions: Sessions
) -> None:
    credentials.give(account.user("alice").credentials())
    assert {protected(sessions, account) for _ in range(3)} == {frozenset({"alice"})}
    assert aws.calls.count("GetCallerIdentity") == 1


def test_without_credentials_nobody_is_told_apart(
    account: Account, credentials: ExchangedCredentials, sessions: Sessions
) -> None:
    """Who cannot tell who he is must not act: it fails, whatever was known before."""
    credentials.give(account.user("alice").credentials())
    protected(sessions, account)
    credentials.take_away()
    with pytest.raises(CredentialsMissing):
        protected(sessions, account)
