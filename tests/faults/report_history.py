"""Every version of the reports of a namespace, as the API server published them, and how they stood at each call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client, config, watch
from urllib3.exceptions import HTTPError

from mfa_operator.api.conversion import from_dict
from mfa_operator.api.enums import GROUP, VERSION
from mfa_operator.api.status import ReportStatus
from mfa_sandbox.aws import CallRecord, EmbeddedAws
from tests.controlplane import ControlPlane

PLURAL = "mfareports"


@dataclass(frozen=True)
class ObservedWrite:
    """A call that changed something, and the version of the report that stood when AWS got it."""

    call: CallRecord
    version: int


@dataclass
class ReportHistory:
    """One report over time. Versions are those of the API server, which are in order."""

    api: client.CustomObjectsApi
    namespace: str
    name: str
    versions: dict[int, ReportStatus] = field(default_factory=dict)
    writes: list[ObservedWrite] = field(default_factory=list)
    heard: threading.Condition = field(default_factory=threading.Condition)
    """Notified at each call that AWS got."""
    _since: str = "0"
    _watch: watch.Watch = field(default_factory=watch.Watch)

    def until(self, version: int) -> list[ReportStatus]:
        """The versions up to and including this one, oldest first."""
        return [status for number, status in sorted(self.versions.items()) if number <= version]

    @property
    def all(self) -> list[ReportStatus]:
        return [status for _, status in sorted(self.versions.items())]

    def read(self) -> int:
        """Read the report as it stands now, and return its version; 0 where there is none."""
        try:
            body = self.api.get_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, self.name)
        except client.ApiException as error:
            if error.status != 404:
                raise
            return 0
        return self._take(body)

    def follow(self, stop: threading.Event) -> None:
        """Record until `stop` is set; a watch that ends goes on where it was."""
        while not stop.is_set():
            # The connection is cut at the end.
            with suppress(HTTPError):
                self._follow_once(stop)

    def _follow_once(self, stop: threading.Event) -> None:
        stream = self._watch.stream(  # type: ignore[no-untyped-call]  # the client has no types
            self.api.list_namespaced_custom_object,
            GROUP,
            VERSION,
            self.namespace,
            PLURAL,
            resource_version=self._since,
            timeout_seconds=3600,
        )
        for event in stream:
            self._since = str(self._take(event["object"]))
            if stop.is_set():
                return

    def _take(self, body: Any) -> int:
        version = int(body["metadata"]["resourceVersion"])
        if "status" in body:
            self.versions[version] = from_dict(ReportStatus, body["status"])
        return version

    def end(self) -> None:
        self._watch.stop()  # type: ignore[no-untyped-call]  # the client has no types

    def note(self, call: CallRecord) -> None:
        """Take in a call before its caller gets the answer: what stands in the report now stood there before it."""
        if call.operation in ("DeleteLoginProfile", "AttachUserPolicy") and call.executed:
            self.writes.append(ObservedWrite(call, self.read()))
        with self.heard:
            self.heard.notify_all()


@contextmanager
def recording(control_plane: ControlPlane, aws: EmbeddedAws, namespace: str, name: str) -> Iterator[ReportHistory]:
    """Record one report in a thread of its own, and the writes in those of the embedded AWS."""
    api = config.new_client_from_config(  # type: ignore[no-untyped-call]  # the client has no types
        str(control_plane.kubeconfig)
    )
    history, stop = ReportHistory(client.CustomObjectsApi(api), namespace, name), threading.Event()
    append: Callable[[CallRecord], None] = aws.calls.append

    def append_and_note(call: CallRecord) -> None:
        append(call)
        history.note(call)

    aws.calls.append = append_and_note  # type: ignore[method-assign, assignment]  # to look on
    thread = threading.Thread(target=history.follow, args=(stop,), daemon=True)
    thread.start()
    try:
        yield history
    finally:
        stop.set()
        history.end()
        aws.calls.append = append  # type: ignore[method-assign, assignment]  # as it was
        api.close()
        thread.join(timeout=10)
