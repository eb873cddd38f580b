"""An embedded Kubernetes API server for `mfa-operator demo` and the fast tests.

It does what the operator, kopf and kubectl ask of it in these: metadata, status, conflicts, pages, watches, Events and
kubectl's tables. It does not validate and fills in no defaults: no schema, no CEL, no access control, no admission, no
server-side apply. What the operator promises of an API server is tested on a real one.
"""

from mfa_sandbox.kubernetes.embedded import EmbeddedKubernetes
from mfa_sandbox.kubernetes.errors import ApiError

__all__ = ["ApiError", "EmbeddedKubernetes"]
