"""What the tests of the embedded Kubernetes say about objects, as the API server's clients see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from kubernetes import client

Object = dict[str, Any]
Http = Callable[..., urllib3.BaseHTTPResponse]
Patch = Callable[..., urllib3.BaseHTTPResponse]

POLICIES = ("mfa-operator.io", "v1alpha1", "default", "mfapolicies")
NAMED = (*POLICIES, "console-mfa")
POLICIES_PATH = "/apis/mfa-operator.io/v1alpha1/namespaces/default/mfapolicies"
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def refusal(error: pytest.ExceptionInfo[client.ApiException]) -> Object:
    """The Status object of a refusal, which has to agree with the HTTP status."""
    status: Object = json.loads(str(error.value.body))
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert status["code"] == error.value.status
    return status


def version(body: Object) -> int:
    return int(body["metadata"]["resourceVersion"])
