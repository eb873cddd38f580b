"""What an API version serves, as clients discover it."""

from collections.abc import Iterable
from typing import Any

from mfa_sandbox.kubernetes.resources import ResourceType

Object = dict[str, Any]

# What /api answers; kmock's lacks the addresses, without which the official client rejects it.
CORE_VERSIONS = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}

# What /version answers. Helm and kubectl look at the minor version, the official client wants every field.
SERVER_VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.3+sandbox",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}

_SUBRESOURCE_VERBS = ["get", "patch", "update"]


def api_resources(resources: Iterable[ResourceType], path: str) -> Object | None:
    """The APIResourceList of the API version at `path` (`/apis/group/version`), None where there is none."""
    here = [resource for resource in resources if resource.path == path]
    if not here:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": here[0].api_version,
        "resources": [entry for resource in here for entry in _entries(resource)],
    }


def _entries(resource: ResourceType) -> list[Object]:
    common = {"namespaced": resource.namespaced, "kind": resource.kind}
    main = common | {
        "name": resource.plural,
        "singularName": resource.singular,
        "verbs": list(resource.verbs),
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    status = common | {"name": f"{resource.plural}/status", "singularName": "", "verbs": _SUBRESOURCE_VERBS}
    return [main, status] if resource.has_status else [main]
