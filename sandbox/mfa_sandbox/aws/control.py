"""The sandbox's own endpoint under `/_sandbox/`, for tests in another process.

`POST /_sandbox/faults` with the arguments of `Faults.add` as JSON, `GET` and `DELETE` on it,
`DELETE /_sandbox/faults/ID`; `GET /_sandbox/calls?operation=…&account=…` and `DELETE /_sandbox/calls`.
"""

import json
from dataclasses import asdict
from urllib.parse import parse_qs

from mfa_sandbox.aws.calls import CallLog
from mfa_sandbox.aws.faults import Fault, Faults
from mfa_sandbox.aws.wire import Answer


class Control:
    """Answers requests to the control endpoint. Bad input is a 400 that says what is wrong."""

    def __init__(self, faults: Faults, calls: CallLog) -> None:
        self._faults = faults
        self._calls = calls

    def answer(self, method: str, path: str, query: str, body: bytes) -> Answer:
        match method, path.removeprefix("/_sandbox/").split("/"):
            case "GET", ["faults"]:
                answer = _json(200, {"faults": [_fault(fault) for fault in self._faults.all()]})
            case "POST", ["faults"]:
                answer = self._add(body)
            case "DELETE", ["faults"]:
                self._faults.clear()
                answer = _json(200, {})
            case "DELETE", ["faults", number] if number.isdigit():
                answer = _json(200 if self._faults.remove(int(number)) else 404, {})
            case "GET", ["calls"]:
                answer = self._list_calls(query)
            case "DELETE", ["calls"]:
                self._calls.clear()
                answer = _json(200, {})
            case _:
                answer = _json(404, {"error": f"there is no {method} {path}"})
        return answer

    def _add(self, body: bytes) -> Answer:
        try:
            fault = self._faults.add(**json.loads(body))
        except (TypeError, ValueError) as error:
            return _json(400, {"error": str(error)})
        return _json(201, _fault(fault))

    def _list_calls(self, query: str) -> Answer:
        wanted = {name: values[-1] for name, values in parse_qs(query).items()}
        unknown = wanted.keys() - {"operation", "account", "principal"}
        if unknown:
            return _json(400, {"error": f"unknown filter: {', '.join(sorted(unknown))}"})
        records = self._calls.select(**wanted)
        return _json(200, {"count": len(records), "calls": [record.as_json() for record in records]})


def _fault(fault: Fault) -> dict[str, object]:
    return asdict(fault)


def _json(status: int, content: dict[str, object]) -> Answer:
    return Answer(status, json.dumps(content).encode(), "application/json")
