"""Every version of the reports of a namespace, as the API server published them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client, config, watch
from urllib3.exceptions import HTTPError

from mfa_operator.api.enums import GROUP, VERSION
from tests.controlplane import ControlPlane


@dataclass
class ReportHistory:
    """Findings by user, one entry a version, in the order of their publication."""

    versions: list[dict[str, dict[str, Any]]] = field(default_factory=list)
    _since: str = "0"
    _watch: watch.Watch = field(default_factory=watch.Watch)

    def of(self, user: str) -> list[dict[str, Any]]:
        """The user's findings over time; versions without one are left out."""
        return [version[user] for version in self.versions if user in version]

    def follow(self, api: client.CustomObjectsApi, namespace: str, stop: threading.Event) -> None:
        """Record until `stop` is set; a watch that the server ends goes on where it was."""
        while not stop.is_set():
            # The connection is cut at the end, and may be cut before: the watch goes on where it was.
            with suppress(HTTPError):
                self._follow_once(api, namespace, stop)

    def _follow_once(self, api: client.CustomObjectsApi, namespace: str, stop: threading.Event) -> None:
        stream = self._watch.stream(  # type: ignore[no-untyped-call]  # the client has no types
            api.list_namespaced_custom_object,
            GROUP,
            VERSION,
            namespace,
            "mfareports",
            resource_version=self._since,
            timeout_seconds=3600,
        )
        for event in stream:
            body = event["object"]
            self._since = body["metadata"]["resourceVersion"]
            findings = body.get("status", {}).get("findings", ())
            self.versions.append({finding["user"]: finding for finding in findings})
            if stop.is_set():
                return

    def end(self) -> None:
        self._watch.stop()  # type: ignore[no-untyped-call]  # the client has no types


@contextmanager
def recording(control_plane: ControlPlane, namespace: str) -> Iterator[ReportHistory]:
    """Record in a thread of its own."""
    api = config.new_client_from_config(  # type: ignore[no-untyped-call]  # the client has no types
        str(control_plane.kubeconfig)
    )
    history, stop = ReportHistory(), threading.Event()
    thread = threading.Thread(target=history.follow, args=(client.CustomObjectsApi(api), namespace, stop), daemon=True)
    thread.start()
    try:
        yield history
    finally:
        stop.set()
        history.end()
        api.close()
        thread.join(timeout=10)
