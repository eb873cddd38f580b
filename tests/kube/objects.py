"""What the tests of the operator on the embedded Kubernetes say about objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import urllib3

Object = dict[str, Any]
Http = Callable[..., urllib3.BaseHTTPResponse]
Patch = Callable[..., urllib3.BaseHTTPResponse]

POLICIES_PATH = "/apis/mfa-operator.io/v1alpha1/namespaces/default/mfapolicies"
