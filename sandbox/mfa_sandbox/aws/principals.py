"""Who calls: access keys, sessions and what GetCallerIdentity says of them."""

import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mfa_sandbox.aws.session_policies import SessionPolicy
from mfa_sandbox.aws.state import unique_id
from mfa_sandbox.aws.wire import EXPIRED_CREDENTIALS, UNKNOWN_CREDENTIALS, AwsError


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. `unrestricted` callers are beyond `allow_only`, `deny` and suspension: the person at the console.

    `session_policy` is what the session was limited to when the role was assumed.
    """

    account_id: str
    arn: str
    user_id: str
    user_name: str | None = None
    unrestricted: bool = False
    session_policy: SessionPolicy | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client signs with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def client_arguments(self) -> dict[str, str | None]:
        """Keyword arguments for `boto3.client`."""
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "aws_session_token": self.session_token,
        }

    def environment(self) -> dict[str, str]:
        """The variables that SDKs and the AWS CLI read."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        if self.session_token is not None:
            variables["AWS_SESSION_TOKEN"] = self.session_token
        return variables


@dataclass(slots=True)
class _Session:
    principal: Principal
    token: str | None
    expires: datetime | None
    expired: bool = False


class Principals:
    """The sessions of one embedded AWS, and the static credentials that are no IAM user's.

    Sessions end by the machine's clock, not by the world's: SDKs judge `Expiration` by the machine's, and a
    world in fast-forward would otherwise outrun them. `expire` ends them at once.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def issue(self, principal: Principal, lifetime: timedelta | None) -> tuple[Credentials, datetime | None]:
        """New credentials; without a lifetime static ones (no token, no end)."""
        now = datetime.now(UTC)
        expires = None if lifetime is None else now + lifetime
        token = None if lifetime is None else secrets.token_urlsafe(96)
        key_id = unique_id("AKIA" if lifetime is None else "ASIA", 20)
        with self._lock:
            long_gone = [
                key
                for key, session in self._sessions.items()
                if session.expires is not None and session.expires < now - timedelta(hours=1)
            ]
            for key in long_gone:
                del self._sessions[key]
            self._sessions[key_id] = _Session(principal, token, expires)
        return Credentials(key_id, secrets.token_urlsafe(30), token), expires

    def expire(self, account_id: str) -> None:
        """End every temporary session into the account; later calls with it answer ExpiredToken."""
        with self._lock:
            for session in self._sessions.values():
                if session.principal.account_id == account_id:
                    session.expired = True

    def find(self, key_id: str, token: str | None) -> Principal | None:
        """The caller of this session, None where the key is no session's. Raises InvalidClientTokenId for another
        token; expiry is `check_expiry`'s."""
        session = self._sessions.get(key_id)
        if session is None:
            return None
        if session.token != token:
            raise AwsError("InvalidClientTokenId", UNKNOWN_CREDENTIALS)
        return session.principal

    def check_expiry(self, key_id: str) -> None:
        """Raises ExpiredToken where the session is over."""
        session = self._sessions.get(key_id)
        if session is None or session.expires is None:
            return
        if session.expired or session.expires <= datetime.now(UTC):
            raise AwsError("ExpiredToken", EXPIRED_CREDENTIALS)
