"""A real Prometheus on loopback, asked over its HTTP API as Grafana asks it."""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3
import yaml

Object = dict[str, Any]
START_SECONDS = 30.0
STOP_SECONDS = 15.0


class PrometheusError(Exception):
    """Prometheus did not start, or refused a query; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Series:
    """What one series of an answer holds."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]
    """Time and value, without those that are no number."""


class Prometheus:
    """One server; `directory` holds its configuration, its log and its data, which may be there already."""

    def __init__(self, program: Path, directory: Path, configuration: Mapping[str, Any], *flags: str) -> None:
        self._log = directory / "prometheus.log"
        config = directory / "prometheus.yaml"
        config.write_text(yaml.safe_dump(dict(configuration)), encoding="utf-8")
        self._command = [
            str(program),
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            *flags,
        ]
        self._http = urllib3.PoolManager(retries=False, timeout=20.0)
        self._url = ""

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise PrometheusError(f"Prometheus did not start:\n{self._log.read_text(errors='replace')}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._http.clear()
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ready(self) -> bool:
        listening = re.search(r'msg="Listening on".* address=(127\.0\.0\.1:\d+)', self._log.read_text(errors="replace"))
        if listening is None:
            return False
        self._url = f"http://{listening[1]}"
        return self._http.request("GET", f"{self._url}/-/ready").status == 200

    def get(self, path: str, **parameters: str | float) -> Any:
        """The data of an answer of /api/v1. Raises PrometheusError for anything but success."""
        fields = {("match[]" if name == "match" else name): str(value) for name, value in parameters.items()}
        answer = self._http.request("GET", f"{self._url}/api/v1/{path}", fields=fields)
        body = json.loads(answer.data)
        if body["status"] != "success" or body.get("warnings"):
            raise PrometheusError(f"{parameters}: {body.get('error') or body.get('warnings')}")
        return body["data"]

    def instant(self, expr: str, at: float | None = None) -> list[Series]:
        """The vector that an expression gives, now where no time is given."""
        result = self.get("query", query=expr, **({} if at is None else {"time": at}))["result"]
        return [Series(each["metric"], _numbers([each["value"]])) for each in result]

    def range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """The matrix that an expression gives."""
        result = self.get("query_range", query=expr, start=start, end=end, step=step)["result"]
        return [Series(each["metric"], _numbers(each["values"])) for each in result]

    def label_values(self, label: str, selector: str) -> list[str]:
        """The values that a label has in the series of a selector, as Grafana asks for those of a variable."""
        values: list[str] = self.get(f"label/{label}/values", match=selector)
        return values


def _numbers(samples: list[list[Any]]) -> tuple[tuple[float, float], ...]:
    pairs = ((float(at), float(value)) for at, value in samples)
    return tuple((at, value) for at, value in pairs if math.isfinite(value))
