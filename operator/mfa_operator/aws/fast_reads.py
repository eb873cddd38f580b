"""IAM's reads without most of what botocore does for each of them: a third of the CPU, the same answers.

A call through botocore builds the request from the service's model, resolves the endpoint, passes a dozen hooks, signs
with a new key and parses by the model again; at ten thousand accounts that is what an audit costs. Here the request is
written and signed directly, sent over botocore's own HTTP session (so proxies, CA bundles, timeouts and connections are
botocore's), and the answer is read by functions that are made of the model once.

Only a plain answer is read here. Whatever else comes (an error, a page of a proxy, a connection that breaks) is handed
to botocore as the answer to its first try: it parses, counts, waits and tries again as if it had sent it itself.
Where to and how to sign is taken from botocore's last request, so every setting of endpoints counts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import BotoCoreError
from botocore.model import ListShape, StructureShape

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from botocore.credentials import Credentials
    from botocore.model import Shape

OPERATIONS = (
    "GenerateCredentialReport",
    "GetCredentialReport",
    "GetLoginProfile",
    "ListMFADevices",
    "ListUserTags",
    "ListUsers",
    "ListVirtualMFADevices",
)
"""Those of an audit: they only read, and their parameters are flat."""
SIGNED_HEADERS = "content-type;host;x-amz-date;x-amz-security-token"
_AUTHORIZATION = re.compile(
    rf"AWS4-HMAC-SHA256 Credential=[^/]+/[0-9]{{8}}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    rf"SignedHeaders={SIGNED_HEADERS}, Signature=[0-9a-f]{{64}}"
)
_TIME = "%Y%m%dT%H%M%SZ"

Read = Callable[[Element], Any]

_arrived: ContextVar[list[AWSResponse | BotoCoreError] | None] = ContextVar("arrived", default=None)


class Unsupported(Exception):
    """Something of a model or an answer that only botocore reads."""


class HttpSession(Protocol):
    """botocore.httpsession.URLLib3Session."""

    def send(self, request: AWSPreparedRequest) -> AWSResponse: ...


@dataclass(frozen=True, slots=True)
class Template:
    """What every request of a client has in common, as botocore sends it."""

    url: str
    region: str
    service: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, request: AWSPreparedRequest) -> Template | None:
        """From a request that is about to be sent; None where it is not signed, or in a way not known here."""
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        signed = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        parts = urlsplit(request.url)
        if signed is None or request.method != "POST" or parts.query or parts.path != "/":
            return None
        kept = {"Content-Type": headers["content-type"], "User-Agent": headers["user-agent"]}
        return cls(request.url, signed["region"], signed["service"], kept)

    def request(self, body: str, credentials: Credentials, at: str) -> AWSPreparedRequest:
        """A signed request with this form as its body; `at` is the time as X-Amz-Date has it."""
        token = credentials.token or ""
        canonical = (
            f"POST\n/\n\ncontent-type:{self.headers['Content-Type']}\nhost:{_host(self.url)}\nx-amz-date:{at}\n"
            f"x-amz-security-token:{token}\n\n{SIGNED_HEADERS}\n{_digest(body)}"
        )
        scope = f"{at[:8]}/{self.region}/{self.service}/aws4_request"
        key = _signing_key(credentials.secret_key, at[:8], self.region, self.service)
        signature = _mac(key, f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{_digest(canonical)}").hex()
        headers = {
            **self.headers,
            "X-Amz-Date": at,
            "X-Amz-Security-Token": token,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={SIGNED_HEADERS}, Signature={signature}",
            "Content-Length": str(len(body)),
        }
        # HTTPHeaders cost as much as the signature; what is done with them, a dict does as well.
        return AWSPreparedRequest("POST", self.url, headers, body, stream_output=False)  # type: ignore[arg-type]  # see above


class FastReads:
    """A client of IAM whose reads in OPERATIONS are fast; everything else is the client's own.

    Answers are botocore's without ResponseMetadata; errors are botocore's. Safe to use from several threads.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - a boto3 client
        credentials: Callable[[], Credentials | None],
        count: Callable[[str], None],
    ) -> None:
        """`credentials` says what to sign with; `count` is called with the operation for each answer read here."""
        self._client = client
        self._credentials = credentials
        self._count = count
        # There is no public way to a client's HTTP session. Without it, botocore does everything.
        self._http: HttpSession | None = getattr(getattr(client, "_endpoint", None), "http_session", None)
        self._template: Template | None = None
        model = client.meta.service_model
        self._version: str = model.api_version
        self._methods: dict[str, tuple[str, Read]] = {
            method: (operation, answer_reader(model.operation_model(operation)))
            for method, operation in client.meta.method_to_api_mapping.items()
            if operation in OPERATIONS
        }
        client.meta.events.register_last("before-send.iam", self._before_send)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the client's
        method = getattr(self._client, name)
        if name not in self._methods:
            return method
        call = partial(self._call, *self._methods[name], method)
        # Looked up once: the next time the instance has it.
        self.__dict__[name] = call
        return call

    def _call(self, operation: str, read: Read, slow: Callable[..., Any], **parameters: str | int) -> Any:  # noqa: ANN401
        template, credentials = self._template, self._credentials()
        if self._http is None or template is None or credentials is None or not credentials.token:
            return slow(**parameters)
        body = urlencode({"Action": operation, "Version": self._version, **parameters})
        outcome: AWSResponse | BotoCoreError
        try:
            outcome = self._http.send(template.request(body, credentials, time.strftime(_TIME, time.gmtime())))
            if outcome.status_code == 200:
                answer = read(_parsed(outcome.content))
                self._count(operation)
                return answer
        except BotoCoreError as error:
            outcome = error
        except (ParseError, Unsupported, ValueError):
            pass
        with _arriving(outcome):
            return slow(**parameters)

    def _before_send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        """Botocore is about to send: what has arrived already is the answer to this try."""
        if waiting := _arrived.get():
            outcome = waiting.pop()
            if isinstance(outcome, BotoCoreError):
                raise outcome
            return outcome
        self._template = Template.of(request)
        return None


def answer_reader(operation: Any) -> Read:  # noqa: ANN401 - untyped botocore
    """Reads a whole answer to an operation. It raises Unsupported or ValueError for anything but a plain answer."""
    shape = operation.output_shape
    wrapper, read = shape.serialization["resultWrapper"], _reader(shape)
    root = f"{operation.name}Response"

    def read_answer(node: Element) -> Any:  # noqa: ANN401
        results = [child for child in node if _tag(child) == wrapper]
        if _tag(node) != root or len(results) != 1:
            raise Unsupported(node.tag)
        return read(results[0])

    return read_answer


def _reader(shape: Shape) -> Read:
    simple: Mapping[str, Callable[[str], object]] = {
        "string": str,
        "integer": int,
        "boolean": "true".__eq__,
        "timestamp": datetime.fromisoformat,
        "blob": base64.b64decode,
    }
    if isinstance(shape, StructureShape):
        return _structure({name: _reader(member) for name, member in shape.members.items()})
    if isinstance(shape, ListShape):
        read_each = _reader(shape.member)
        return lambda node: [read_each(child) for child in node]
    read = simple[shape.type_name]
    return lambda node: read(node.text or "")


def _structure(members: Mapping[str, Read]) -> Read:
    def read(node: Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in node:
            name = _tag(child)
            if name in members:
                if name in found:
                    raise Unsupported(name)
                found[name] = members[name](child)
        return found

    return read


def _parsed(content: bytes) -> Element:
    # As botocore parses what AWS sends: in UTF-8, whatever the document says of itself.
    parser: XMLParser[Element] = XMLParser(target=TreeBuilder(), encoding="utf-8")  # noqa: S314 - as botocore does
    parser.feed(content)
    return parser.close()


def _tag(node: Element) -> str:
    return node.tag.rpartition("}")[2]


@contextmanager
def _arriving(outcome: AWSResponse | BotoCoreError) -> Iterator[None]:
    token = _arrived.set([outcome])
    try:
        yield
    finally:
        _arrived.reset(token)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@lru_cache(maxsize=16)
def _host(url: str) -> str:
    """The Host header as http.client writes it and botocore signs it: with the port, unless it is the scheme's own."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


@lru_cache(maxsize=128)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = _mac(key, part)
    return key
