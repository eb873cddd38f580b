"""A definition that was applied a moment ago is served before the API server lists it among what it serves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from mfa_operator.api.objects import PolicyRef
from mfa_operator.config.settings import Settings
from mfa_operator.kube.connection import connect
from mfa_operator.kube.discovery import NotListed, wait_until_listed
from mfa_sandbox.kubernetes import EmbeddedKubernetes
from tests.kube import test_lifecycle
from tests.kube.test_lifecycle import Eventually, NewPolicy, Running

REF = PolicyRef("default", "console-mfa")
LIST = "/apis/mfa-operator.io/v1alpha1"
NOTHING = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "mfa-operator.io/v1alpha1", "resources": []}
NO_GROUPS = {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
Start = Callable[..., Running]

# The fixtures of the process's other tests.
settings = test_lifecycle.settings
start = test_lifecycle.start


def answered(kube: EmbeddedKubernetes) -> bool:
    return any(
        request.verb == "get" and request.resource == "mfapolicies" and request.status for request in kube.requests
    )


def test_the_watch_begins_once_the_policies_are_listed(
    kube: EmbeddedKubernetes,
    http: Callable[..., urllib3.BaseHTTPResponse],
    start: Start,
    new_policy: NewPolicy,
    eventually: Eventually,
) -> None:
    listed = http("GET", LIST).json()
    kube.script(LIST, NOTHING, NOTHING, listed)
    kube.apply(new_policy())
    running = start()
    eventually(lambda: running.auditor.passes == [(REF, "Created")], "the pass over what was there")
    # Else that pass may read the edit itself.
    eventually(lambda: answered(kube), "the pass has read the policy")
    kube.patch("mfapolicies", "default", "console-mfa", {"spec": {"interval": "5m"}})
    eventually(lambda: running.auditor.passes[1:] == [(REF, "SpecChanged")], "the edit is seen")


def test_a_watch_of_nothing_ends_the_process(
    kube: EmbeddedKubernetes, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The API server that kopf asks lags behind the one that we asked."""
    kube.script("/apis", NO_GROUPS)  # without the slash at the end, as kopf asks
    assert start().end() == 1
    assert "kopf does not find mfapolicies" in caplog.text


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/apis/", NO_GROUPS, "does not list mfa-operator.io/v1alpha1"),
        (LIST, NOTHING, "does not list mfapolicies"),
        (LIST, 503, "does not say what it serves"),
    ],
)
def test_patience_runs_out(kube: EmbeddedKubernetes, settings: Settings, path: str, answer: Any, words: str) -> None:
    kube.script(path, answer)
    api, _where = connect(str(settings.cluster.kubeconfig), None)
    with api, pytest.raises(NotListed, match=words):
        wait_until_listed(api, threading.Event(), patience=0.5)


def test_an_operator_that_stops_waits_no_longer(kube: EmbeddedKubernetes, settings: Settings) -> None:
    kube.script(LIST, NOTHING)
    api, _where = connect(str(settings.cluster.kubeconfig), None)
    stopping = threading.Event()
    stop = threading.Timer(0.3, stopping.set)
    stop.start()
    with api, pytest.raises(NotListed):
        # Longer than the test may take.
        wait_until_listed(api, stopping, patience=3600.0)
    assert stopping.is_set()
    stop.join()
