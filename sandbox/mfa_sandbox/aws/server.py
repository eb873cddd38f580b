"""The embedded AWS as a server on loopback: start it, seed its world, point boto3 at `endpoint_url`."""

import contextlib
import errno
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from botocore.client import BaseClient
from botocore.config import Config
from botocore.session import Session as BotocoreSession
from cheroot import wsgi
from cheroot.workers.threadpool import ThreadPool
from moto.core.base_backend import BackendDict

from mfa_sandbox.aws.calls import CallLog
from mfa_sandbox.aws.faults import Faults
from mfa_sandbox.aws.front import Front
from mfa_sandbox.aws.principals import Credentials
from mfa_sandbox.aws.regions import IAM_REGIONS, ORGANIZATIONS_REGIONS
from mfa_sandbox.aws.wire import DropConnectionError
from mfa_sandbox.aws.world import HOME_ACCOUNT, World

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

log = logging.getLogger(__name__)

THREADS = 40
"""Answers under way at a time; more wait. Latency and delays sleep in these threads."""


class _Gateway(wsgi.Gateway_10):
    """Can reset a connection in place of an answer."""

    def respond(self) -> None:
        try:
            super().respond()
        except DropConnectionError:
            connection = self.req.conn
            # Lingering for 0 s makes the kernel send RST instead of FIN; cheroot must not shut it down first.
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(connection.socket.detach())
            connection.linger = True
            raise ConnectionResetError(errno.ECONNRESET, "reset by the sandbox") from None


class _Workers(ThreadPool):
    """Starts a thread when a request comes that none waits for: 40 at once take 6 ms, and most tests need three."""

    # ThreadPool.grow sleeps 0.1 s where a thread is not there at once.
    _threads: list[threading.Thread]
    _spawn_worker: Callable[[], threading.Thread]

    def __init__(self, server: wsgi.Server, **sizes: int) -> None:
        super().__init__(server, **sizes)
        self._lock = threading.Lock()
        self._spare = 0
        """Threads that wait, less requests that wait."""
        self._stopped = False
        self._take = self.get
        self.get = self._next

    def start(self) -> None:
        """Not before a request comes."""

    def put(self, obj: object) -> None:
        with self._lock:
            self._spare -= 1
            if self._spare < 0 and len(self._threads) < self.max and not self._stopped:
                self._threads.append(self._spawn_worker())
        super().put(obj)

    def stop(self, timeout: int = 5) -> None:
        with self._lock:
            self._stopped = True
        super().stop(timeout)

    def _next(self) -> object:
        with self._lock:
            self._spare += 1
        return self._take()


class _Server(wsgi.Server):
    """Keeps connections alive, reports to logging, and stops within a tenth of a second."""

    keep_alive_conn_limit = 10_000
    expiration_interval = 0.1

    def __init__(self, front: Front, port: int) -> None:
        super().__init__(
            ("127.0.0.1", port),
            front,
            numthreads=1,
            server_name="sandbox",
            request_queue_size=128,
            timeout=120,
            shutdown_timeout=1,
        )
        self.gateway = _Gateway
        self.requests = _Workers(self, min=1, max=THREADS)

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Cheroot's own leaves the socket open where the port is taken."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        log.log(level, "%s", msg, exc_info=traceback)


class EmbeddedAws:
    """One at a time in a process, for moto's state is the process's. A context manager, or `start` and `stop`;
    each start begins with an empty world.

    `latency_seconds` passes before each answer; with `check_codes` EnableMFADevice checks the codes as AWS does.
    `clock` is the world's from the beginning (the machine's if not given). Everything but `start` raises
    RuntimeError while it does not run.
    """

    _running: ClassVar["EmbeddedAws | None"] = None
    _class_lock: ClassVar[threading.Lock] = threading.Lock()
    _session: ClassVar[BotocoreSession | None] = None

    def __init__(
        self,
        *,
        port: int = 0,
        partition: str = "aws",
        home_account: str = HOME_ACCOUNT,
        check_codes: bool = False,
        latency_seconds: float = 0.0,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.region = IAM_REGIONS[partition]
        self._partition = partition
        self._home_account = home_account
        self._check_codes = check_codes
        self._latency_seconds = latency_seconds
        self._clock = clock
        self._port = port
        self._front: Front | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on loopback. Raises RuntimeError where one runs in this process, OSError where the port is taken."""
        with EmbeddedAws._class_lock:
            if EmbeddedAws._running is not None:
                raise RuntimeError("an embedded AWS runs in this process already; moto's state allows one")
            EmbeddedAws._running = self
        try:
            BackendDict.reset()
            world = World(self._partition, self._home_account, self._clock)
            world.check_codes = self._check_codes
            self._front = Front(world)
            self._front.latency_seconds = self._latency_seconds
            self._server = _Server(self._front, self._port)
            self._server.prepare()
        except BaseException:
            self._front = self._server = None
            EmbeddedAws._running = None
            raise
        # Its workers inherit being daemons, and never keep a process alive that forgot to stop.
        self._thread = threading.Thread(target=self._server.serve, name="embedded-aws", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and forget the world. Does nothing where it does not run."""
        if self._server is None or self._thread is None or self._front is None:
            return
        self._front.stopping.set()
        self._front.world.queues.close()
        stopping = threading.Thread(target=self._server.stop, name="embedded-aws-stop", daemon=True)
        stopping.start()
        # A connection wakes the server's select, which else sleeps out its interval before it sees the stop.
        with contextlib.suppress(OSError), socket.create_connection(self._server.bind_addr[:2], timeout=1):
            pass
        stopping.join()
        self._thread.join()
        self._server = self._thread = self._front = None
        BackendDict.reset()
        with EmbeddedAws._class_lock:
            EmbeddedAws._running = None

    @property
    def _started(self) -> Front:
        if self._front is None:
            raise RuntimeError("the embedded AWS does not run")
        return self._front

    @property
    def endpoint_url(self) -> str:
        if self._server is None:
            raise RuntimeError("the embedded AWS does not run")
        host, port = self._server.bind_addr[:2]
        return f"http://{host}:{port}"

    @property
    def world(self) -> World:
        return self._started.world

    @property
    def calls(self) -> CallLog:
        return self._started.calls

    @property
    def faults(self) -> Faults:
        return self._started.faults

    @property
    def latency_seconds(self) -> float:
        return self._started.latency_seconds

    @latency_seconds.setter
    def latency_seconds(self, seconds: float) -> None:
        self._started.latency_seconds = seconds

    @property
    def check_codes(self) -> bool:
        return self.world.check_codes

    @check_codes.setter
    def check_codes(self, check: bool) -> None:
        self.world.check_codes = check

    def environment(self, credentials: Credentials | None = None) -> dict[str, str]:
        """What a process needs in its environment to reach this AWS, as the operator or as somebody else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **(credentials or self.world.operator_credentials).environment(),
        }

    def iam(self, credentials: Credentials | None = None) -> "IAMClient":
        """A client without retries, of the operator or of somebody else. Close it."""
        return cast("IAMClient", self._client("iam", credentials))

    def sts(self, credentials: Credentials | None = None) -> "STSClient":
        """A client without retries, of the operator or of somebody else. Close it."""
        return cast("STSClient", self._client("sts", credentials))

    def sqs(self, credentials: Credentials | None = None) -> Any:  # noqa: ANN401 - boto3's own
        """A client without retries, of the operator or of somebody else. Close it."""
        return self._client("sqs", credentials)

    def organizations(self, credentials: Credentials | None = None, *, region: str | None = None) -> Any:  # noqa: ANN401 - boto3's own
        """A client without retries, of the operator or of somebody else, for the region where the partition has
        Organizations if none is given. Close it."""
        return self._client("organizations", credentials, region or ORGANIZATIONS_REGIONS[self._partition])

    def _client(self, service: str, credentials: Credentials | None, region: str | None = None) -> BaseClient:
        signed_by = credentials or self.world.operator_credentials
        with EmbeddedAws._class_lock:
            if EmbeddedAws._session is None:
                EmbeddedAws._session = BotocoreSession()
            return EmbeddedAws._session.create_client(
                service,
                region_name=region or self.region,
                endpoint_url=self.endpoint_url,
                config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=30),
                aws_access_key_id=signed_by.access_key_id,
                aws_secret_access_key=signed_by.secret_access_key,
                aws_session_token=signed_by.session_token,
            )
