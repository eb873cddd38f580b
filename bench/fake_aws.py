"""A fast fake of STS, IAM and Organizations for measurements: any number of accounts, some 0.1 ms a call.

In a process of its own.
Nothing is stored: an account's users follow from its id and their numbers. In ten users one has a password and no MFA,
one in twenty has a passkey, half of the rest a virtual device, and the others no password. Requests are not
authenticated; the access key names the account. Verdicts are tested on the embedded AWS: this one only keeps pace.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote
from urllib.request import ProxyHandler, build_opener

PAGE = 1000
ACCOUNTS_PAGE = 20
ORGANIZATION = "o-a1b2c3d4e5"
NOT_FOUND = 404
THROTTLED = 400
_STARTED = datetime.now(UTC).replace(microsecond=0)
_TIME = "%Y-%m-%dT%H:%M:%SZ"
GENERATED = (_STARTED - timedelta(minutes=10)).strftime(_TIME)
EXPIRES = (_STARTED + timedelta(hours=12)).strftime(_TIME)
CREATED = "2024-05-06T07:08:09"


def account_id(number: int) -> str:
    return f"{100_000_000_000 + number}"


def kind(number: int) -> str:
    """What user `number` of any account is: violator, passkey, virtual or keys (no password)."""
    if number % 10 == 0:
        return "violator"
    if number % 20 == 11:
        return "passkey"
    return "virtual" if number % 2 else "keys"


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class World:
    """Answers. `rate`: requests a second and account before it throttles; 0: never. `members`: of the organization."""

    def __init__(self, users: int, rate: float, members: int = 0) -> None:
        self.calls: Counter[str] = Counter()
        self._members = members
        self._users = users
        self._rate = rate
        self._buckets: dict[str, _Bucket] = {}

    def answer(self, account: str, parameters: Mapping[str, str]) -> tuple[int, bytes]:
        """HTTP status and body."""
        operation = parameters["Action"]
        if operation != "AssumeRole" and not self._within_rate(account):
            self.calls["throttled"] += 1
            return THROTTLED, _error("Throttling", "Rate exceeded")
        self.calls[operation] += 1
        return getattr(self, "_" + operation)(account, parameters)  # type: ignore[no-any-return]  # one of those below

    def list_accounts(self, asked: Mapping[str, Any]) -> tuple[int, bytes]:
        """A page of ListAccounts; the first account is the management account."""
        self.calls["ListAccounts"] += 1
        begin = int(asked.get("NextToken") or 0)
        end = min(begin + ACCOUNTS_PAGE, self._members)
        accounts = [
            {
                "Id": account_id(number),
                "Arn": f"arn:aws:organizations::{account_id(0)}:account/{ORGANIZATION}/{account_id(number)}",
                "Name": f"account-{number}",
                "State": "ACTIVE",
                "JoinedTimestamp": 1_700_000_000,
                "Paths": [f"{ORGANIZATION}/r-ab12/{account_id(number)}/"],
            }
            for number in range(begin, end)
        ]
        more = {"NextToken": str(end)} if end < self._members else {}
        return 200, json.dumps({"Accounts": accounts, **more}).encode()

    def _within_rate(self, account: str) -> bool:
        if not self._rate:
            return True
        now = time.monotonic()
        bucket = self._buckets.setdefault(account, _Bucket(self._rate, now))
        bucket.tokens = min(self._rate, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _AssumeRole(self, _: str, parameters: Mapping[str, str]) -> tuple[int, bytes]:  # noqa: N802 - AWS's names
        account = parameters["RoleArn"].split(":")[4]
        role, session = parameters["RoleArn"].rsplit("/", 1)[1], parameters["RoleSessionName"]
        return 200, _ok(
            "AssumeRole",
            f"<AssumedRoleUser><AssumedRoleId>AROA{account}:{session}</AssumedRoleId>"
            f"<Arn>arn:aws:sts::{account}:assumed-role/{role}/{session}</Arn></AssumedRoleUser>"
            f"<Credentials><AccessKeyId>ASIA{account}</AccessKeyId><SecretAccessKey>{account * 3}</SecretAccessKey>"
            f"<SessionToken>{account * 30}</SessionToken><Expiration>{EXPIRES}</Expiration></Credentials>",
        )

    def _GetCallerIdentity(self, account: str, _: Mapping[str, str]) -> tuple[int, bytes]:  # noqa: N802
        arn = f"arn:aws:sts::{account}:assumed-role/mfa-operator/mfa-operator"
        return 200, _ok("GetCallerIdentity", f"<Arn>{arn}</Arn><UserId>AROA</UserId><Account>{account}</Account>")

    def _GenerateCredentialReport(self, *_: object) -> tuple[int, bytes]:  # noqa: N802
        return 200, _ok("GenerateCredentialReport", "<State>COMPLETE</State>")

    def _GetCredentialReport(self, account: str, _: object) -> tuple[int, bytes]:  # noqa: N802
        columns = (
            "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,"
            "password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,"
            "access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
            "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,"
            "access_key_2_last_used_service,cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
        )
        root = (
            f"<root_account>,arn:aws:iam::{account}:root,{CREATED}+00:00,not_supported,no_information,not_supported,"
            "not_supported,true,false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
        )
        lines = [columns, root]
        for number in range(self._users):
            password = "false" if kind(number) == "keys" else "true"
            mfa = "true" if kind(number) in ("virtual", "passkey") else "false"
            lines.append(
                f"{_name(number)},arn:aws:iam::{account}:user/{_name(number)},{CREATED}+00:00,{password},no_information,"
                f"{CREATED}+00:00,N/A,{mfa},true,{CREATED}+00:00,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
            )
        content = base64.b64encode("\n".join(lines).encode()).decode()
        return 200, _ok(
            "GetCredentialReport",
            f"<Content>{content}</Content><ReportFormat>text/csv</ReportFormat><GeneratedTime>{GENERATED}</GeneratedTime>",
        )

    def _ListUsers(self, account: str, parameters: Mapping[str, str]) -> tuple[int, bytes]:  # noqa: N802
        numbers, more = self._page(range(self._users), parameters)
        members = "".join(f"<member>{_user(account, number)}</member>" for number in numbers)
        return 200, _ok("ListUsers", f"<Users>{members}</Users>{more}")

    def _ListVirtualMFADevices(self, account: str, parameters: Mapping[str, str]) -> tuple[int, bytes]:  # noqa: N802
        owners = [number for number in range(self._users) if kind(number) == "virtual"]
        numbers, more = self._page(owners, parameters)
        members = "".join(
            f"<member><SerialNumber>arn:aws:iam::{account}:mfa/{_name(number)}</SerialNumber>"
            f"<User>{_user(account, number)}</User><EnableDate>{CREATED}Z</EnableDate></member>"
            for number in numbers
        )
        return 200, _ok("ListVirtualMFADevices", f"<VirtualMFADevices>{members}</VirtualMFADevices>{more}")

    def _GetLoginProfile(self, _: str, parameters: Mapping[str, str]) -> tuple[int, bytes]:  # noqa: N802
        name = parameters["UserName"]
        if kind(_number(name)) == "keys":
            return NOT_FOUND, _error("NoSuchEntity", f"Login Profile for User {name} cannot be found.")
        return 200, _ok(
            "GetLoginProfile",
            f"<LoginProfile><UserName>{name}</UserName><CreateDate>{CREATED}Z</CreateDate>"
            "<PasswordResetRequired>false</PasswordResetRequired></LoginProfile>",
        )

    def _ListMFADevices(self, account: str, parameters: Mapping[str, str]) -> tuple[int, bytes]:  # noqa: N802
        name = parameters["UserName"]
        serial = {
            "passkey": f"arn:aws:iam::{account}:u2f/user/{name}/k",
            "virtual": f"arn:aws:iam::{account}:mfa/{name}",
        }
        found = serial.get(kind(_number(name)))
        member = (
            f"<member><UserName>{name}</UserName><SerialNumber>arn:aws:iam::{account}:{found}</SerialNumber>"
            f"<EnableDate>{CREATED}Z</EnableDate></member>"
            if found
            else ""
        )
        return 200, _ok("ListMFADevices", f"<MFADevices>{member}</MFADevices><IsTruncated>false</IsTruncated>")

    def _ListUserTags(self, *_: object) -> tuple[int, bytes]:  # noqa: N802
        return 200, _ok("ListUserTags", "<Tags/><IsTruncated>false</IsTruncated>")

    @staticmethod
    def _page(numbers: range | list[int], parameters: Mapping[str, str]) -> tuple[range | list[int], str]:
        begin = int(parameters.get("Marker", 0))
        end = begin + min(int(parameters.get("MaxItems", 100)), PAGE)
        truncated = end < len(numbers)
        more = f"<IsTruncated>{str(truncated).lower()}</IsTruncated>" + (f"<Marker>{end}</Marker>" if truncated else "")
        return numbers[begin:end], more


def _name(number: int) -> str:
    return f"user-{number:05}"


def _number(name: str) -> int:
    return int(name.removeprefix("user-"))


def _user(account: str, number: int) -> str:
    return (
        f"<Path>/</Path><UserName>{_name(number)}</UserName><UserId>AIDA{account}{number:05}</UserId>"
        f"<Arn>arn:aws:iam::{account}:user/{_name(number)}</Arn><CreateDate>{CREATED}Z</CreateDate>"
    )


def _ok(operation: str, result: str) -> bytes:
    space = (
        "https://sts.amazonaws.com/doc/2011-06-15/"
        if "Role" in operation or "Caller" in operation
        else ("https://iam.amazonaws.com/doc/2010-05-08/")
    )
    return (
        f'<{operation}Response xmlns="{space}"><{operation}Result>{result}</{operation}Result>'
        f"<ResponseMetadata><RequestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    ).encode()


def _error(code: str, message: str) -> bytes:
    return (
        '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</RequestId></ErrorResponse>"
    ).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 as botocore sends it: a POST with a length and a form, one at a time."""

    def __init__(self, world: World, delay: float) -> None:
        self._world = world
        self._delay = delay
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].decode("latin-1")
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
            lower = {name.lower(): value for name, value in headers.items()}
            length = int(lower.get("content-length", 0))
            if len(self._received) < end + 4 + length:
                return
            body = self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            self._serve(head, lower, body)

    def _serve(self, head: str, headers: Mapping[str, str], body: bytes) -> None:
        if head.startswith("GET /calls"):
            status, answer = 200, json.dumps(self._world.calls).encode()
            if head.startswith("GET /calls?clear"):
                self._world.calls.clear()
            self._send(status, answer)
            return
        key = headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        if headers.get("x-amz-target", "").endswith(".ListAccounts"):
            status, answer = self._world.list_accounts(json.loads(body))
        else:
            status, answer = self._world.answer(unquote(key)[4:16], dict(parse_qsl(body.decode())))
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._send, status, answer)
        else:
            self._send(status, answer)

    def _send(self, status: int, answer: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: text/xml\r\nContent-Length: {len(answer)}\r\n\r\n"
        self._transport.write(head.encode() + answer)


@dataclass(frozen=True, slots=True)
class FakeAws:
    """A running fake, from outside."""

    url: str

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIA000000000000OPER",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def calls(self) -> Counter[str]:
        """Calls by operation since the last time, `throttled` among them."""
        with build_opener(ProxyHandler({})).open(f"{self.url}/calls?clear", timeout=30) as answer:
            return Counter(json.load(answer))


@contextmanager
def fake_aws(users: int, *, delay_ms: float = 0, rate: float = 0, members: int = 0) -> Iterator[FakeAws]:
    """A fake in a process of its own, ended at the end."""
    command = [sys.executable, "-m", "bench.fake_aws", str(users), str(delay_ms), str(rate), str(members)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield FakeAws(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


async def _serve(users: int, delay_ms: float, rate: float, members: int) -> None:
    world = World(users, rate, members)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(world, delay_ms / 1000), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
