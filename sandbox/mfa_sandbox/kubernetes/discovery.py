"""What is served, as clients discover it."""

from collections.abc import Iterable, Sequence
from typing import Any

from mfa_sandbox.kubernetes.resources import VERBS, ResourceType

Object = dict[str, Any]

_VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.3+sandbox", "platform": "linux/amd64"}


def document(resources: Sequence[ResourceType], path: str) -> Object | None:
    """What a path that is no resource's answers; None where there is nothing."""
    groups = list(dict.fromkeys(resource.group for resource in resources if resource.group))
    match path.strip("/").split("/"):
        case ["version"]:
            return _VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_group(resources, group) for group in groups],
            }
        case ["apis", group] if group in groups:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(resources, group)}
        case _:
            return _api_version([each for each in resources if each.path == path.rstrip("/")])


def _group(resources: Iterable[ResourceType], group: str) -> Object:
    served = dict.fromkeys(resource.version for resource in resources if resource.group == group)
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in served]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _api_version(resources: Sequence[ResourceType]) -> Object | None:
    if not resources:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": resources[0].api_version,
        "resources": [entry for resource in resources for entry in _entries(resource)],
    }


def _entries(resource: ResourceType) -> list[Object]:
    common = {"namespaced": resource.namespaced, "kind": resource.kind}
    main = common | {
        "name": resource.plural,
        "singularName": resource.singular,
        "verbs": list(VERBS),
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    verbs = ["get", "patch", "update"]
    status = common | {"name": f"{resource.plural}/status", "singularName": "", "verbs": verbs}
    return [main, status] if resource.has_status else [main]
