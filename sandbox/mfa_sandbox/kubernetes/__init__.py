"""An embedded Kubernetes API server for `mfa-operator demo` and the tests.

It keeps the API server's rules for metadata, status, conflicts, watches, garbage collection and defaults, so that
kubectl, the official client and kopf work against it. It does not validate: no schema, no CEL, no field validation, no
access control, no admission.
"""

from mfa_sandbox.kubernetes.embedded import EmbeddedKubernetes
from mfa_sandbox.kubernetes.errors import ApiError

__all__ = ["ApiError", "EmbeddedKubernetes"]
