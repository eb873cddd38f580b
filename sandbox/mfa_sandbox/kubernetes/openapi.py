"""As much OpenAPI v3 as `kubectl explain` and the validation of a plain `kubectl apply` ask for."""

from collections.abc import Iterable, Mapping
from typing import Any

from mfa_sandbox.kubernetes.resources import ResourceType

_FIELD_VALIDATION = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}


def index(resources: Iterable[ResourceType]) -> dict[str, Any]:
    """What /openapi/v3 answers: where the document of each API version is."""
    paths = sorted({resource.path for resource in resources})
    return {"paths": {path[1:]: {"serverRelativeURL": f"/openapi/v3{path}"} for path in paths}}


def document(resources: Iterable[ResourceType], path: str) -> dict[str, Any] | None:
    """The document of the API version at `path` (`/apis/group/version`), None where there is none."""
    here = [resource for resource in resources if resource.path == path]
    if not here:
        return None
    paths: dict[str, Any] = {}
    for resource in here:
        scope = "/namespaces/{namespace}" if resource.namespaced else ""
        collection = f"{path}{scope}/{resource.plural}"
        paths[collection] = {"get": _operation(resource), "post": _operation(resource)}
        # kubectl looks here for whether the server checks fields itself.
        patch = _operation(resource) | {"parameters": [_FIELD_VALIDATION]}
        paths[f"{collection}/{{name}}"] = {"get": _operation(resource), "patch": patch}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": {_schema_name(resource): _schema(resource) for resource in here}},
    }


def _gvk(resource: ResourceType) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _operation(resource: ResourceType) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{_schema_name(resource)}"}
    answer = {"description": "OK", "content": {"application/json": {"schema": schema}}}
    return {"responses": {"200": answer}, "x-kubernetes-group-version-kind": _gvk(resource)}


def _schema_name(resource: ResourceType) -> str:
    domain = ".".join(reversed((resource.group or "core.api.k8s.io").split(".")))
    return f"{domain}.{resource.version}.{resource.kind}"


def _schema(resource: ResourceType) -> Mapping[str, Any]:
    return {
        "type": "object",
        **resource.schema,
        "x-kubernetes-group-version-kind": [_gvk(resource)],
    }
