"""The WSGI application in front of moto: who calls, what goes wrong, what is allowed, who answers, what is kept."""

import logging
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from flask import Flask
from moto.core.exceptions import ServiceException
from moto.moto_server.werkzeug_app import create_backend_app
from moto.utilities.utils import get_partition
from werkzeug.test import run_wsgi_app

from mfa_sandbox.aws.calls import CallLog, CallRecord, without_secrets
from mfa_sandbox.aws.faults import FaultKind, Faults
from mfa_sandbox.aws.json_wire import (
    JSON_TYPES,
    document_of,
    json_failure,
    json_success,
    operation_of,
    recorded,
)
from mfa_sandbox.aws.operations import OPERATIONS
from mfa_sandbox.aws.request import Call, access_denied
from mfa_sandbox.aws.wire import UNKNOWN_CREDENTIALS, Answer, AwsError, DropConnectionError, failure, success
from mfa_sandbox.aws.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_ERROR_CODE = re.compile(rb"<Code>([^<]+)</Code>")


@dataclass(slots=True)
class _Trace:
    """What becomes known of a request on its way, for the record."""

    call: Call | None = None
    executed: bool = False


class Front:
    """One application for all accounts. `latency_seconds` passes before each answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls = CallLog()
        self.faults = Faults()
        self.latency_seconds = 0.0
        self.stopping = threading.Event()
        self._moto: Flask | None = None
        self._moto_lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = self._aws(environ, body)
        headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body))), *answer.headers]
        start_response(answer.status_line, headers)
        return [answer.body]

    def _aws(self, environ: "WSGIEnvironment", body: bytes) -> Answer:
        scope = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        service = scope["service"] if scope else "sts"
        trace = _Trace()
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        parameters = (
            {"Action": operation_of(target)}
            if target
            else dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        )
        answer = Answer(500, b"", code="SandboxFailure")
        try:
            answer = self._answer(trace, scope, service, parameters, environ, body)
        except (AwsError, ServiceException) as error:
            if isinstance(error, ServiceException):
                error = AwsError(error.code, error.message)
            answer = json_failure(service, error) if service in JSON_TYPES else failure(service, error)
        except DropConnectionError:
            answer = Answer(0, b"", code="ConnectionReset")
            raise
        finally:
            self._record(trace, service, parameters, answer)
        return answer

    def _answer(
        self,
        trace: _Trace,
        scope: re.Match[str] | None,
        service: str,
        parameters: dict[str, str],
        environ: "WSGIEnvironment",
        body: bytes,
    ) -> Answer:
        if scope is None:
            raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token")
        world = self.world
        if get_partition(scope["region"]) != world.partition:
            raise AwsError("InvalidClientTokenId", UNKNOWN_CREDENTIALS)
        token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
        principal = world.caller(scope["key"], token)
        document = document_of(body) if service in JSON_TYPES else {}
        parameters |= recorded(document)
        call = Call(
            service=service,
            operation=parameters.get("Action", ""),
            parameters=parameters,
            principal=principal,
            account=world.accounts[principal.account_id],
            world=world,
            now=world.now(),
            region=scope["region"],
            raw=body,
            document=document,
        )
        trace.call = call
        fault = self.faults.take(call)
        pause = self.latency_seconds + (fault.delay if fault else 0.0)
        if pause > 0:
            self.stopping.wait(pause)
        if fault is not None:
            page = fault.raise_before(call)
            if page is not None:
                return page
        self.faults.check_limit(call)
        world.principals.check_expiry(scope["key"])
        if not principal.unrestricted:
            if call.account.suspended:
                raise access_denied(call)
            refusal = call.why_not()
            if refusal is not None:
                raise access_denied(call, refusal)
        answer = self._execute(call, environ)
        trace.executed = answer.code is None
        if fault is not None and fault.kind is FaultKind.EXECUTED_ANSWER_LOST:
            raise DropConnectionError
        return answer

    def _execute(self, call: Call, environ: "WSGIEnvironment") -> Answer:
        handler = OPERATIONS.get(call.service, {}).get(call.operation)
        if handler is not None and call.service in JSON_TYPES:
            # Without the account's lock: who waits for a message must keep nobody from anything.
            return json_success(call.service, handler(call))
        with call.account.lock:
            if handler is not None:
                return success(call.service, call.operation, handler(call))
            if call.service != "iam" or not call.operation:
                raise _not_there(call)
            return self._ask_moto(call, environ)

    def _ask_moto(self, call: Call, environ: "WSGIEnvironment") -> Answer:
        with self._moto_lock:
            if self._moto is None:
                self._moto = create_backend_app("iam")
        forwarded = dict(environ)
        forwarded["HTTP_X_MOTO_ACCOUNT_ID"] = call.account.id
        forwarded["wsgi.input"] = BytesIO(call.raw)
        try:
            chunks, status, headers = run_wsgi_app(self._moto, forwarded, buffered=True)
        except NotImplementedError:
            raise _not_there(call) from None
        body = b"".join(chunks)
        number = int(status.split()[0])
        found = _ERROR_CODE.search(body) if number >= 400 else None
        code = found[1].decode() if found else (None if number < 400 else str(number))
        return Answer(number, body, headers.get("Content-Type", "text/xml"), code)

    def _record(self, trace: _Trace, service: str, parameters: dict[str, str], answer: Answer) -> None:
        call = trace.call
        if call is not None and service == "iam" and (trace.executed or answer.status >= 400):
            error = None if trace.executed else AwsError(answer.code or "", "")
            self.world.trail.record_call(call.account, call.principal, call.operation, call.parameters, call.now, error)
        self.calls.append(
            CallRecord(
                time=call.now if call else self.world.now(),
                account_id=call.subject_account if call else "",
                principal=call.principal.arn if call else "",
                service=service,
                operation=parameters.get("Action", ""),
                parameters=without_secrets(parameters),
                http_status=answer.status,
                code=answer.code,
                executed=trace.executed,
            )
        )


def _not_there(call: Call) -> AwsError:
    log.warning("the sandbox has no %s", call.action)
    return AwsError("InvalidAction", f"Could not find operation {call.operation} in the sandbox of AWS.")
