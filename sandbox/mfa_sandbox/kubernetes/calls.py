"""What a request asks for, read from its method and path."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

# Of an object's or a collection's path; a GET of a collection with ?watch=true is `watch`.
_OBJECT_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COLLECTION_VERBS = {"GET": "list", "POST": "create"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request.

    `verb` is the API server's (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`) where the path is a
    resource's, "" for other paths and for methods that have no verb there. `plural`, `namespace`, `name`
    and `subresource` are "" where the path has none.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    verb: str = ""
    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip()


def read_call(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Call:
    """Take the path apart: `/api/v1/…` or `/apis/<group>/<version>/…`."""
    call = Call(method=method, path=path, query=query, headers=headers, body=body)
    match path.strip("/").split("/"):
        case ["api", version, *rest] if rest:
            group = ""
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            return call
    namespace = ""
    # /namespaces/<name>/status is the namespace's own subresource, any longer path a resource in it.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2:] not in (["status"], ["finalize"]):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = rest[0], (rest[1:2] or [""])[0], "/".join(rest[2:])
    verb = (_OBJECT_VERBS if name else _COLLECTION_VERBS).get(method, "")
    if verb == "list" and query.get("watch") in ("true", "1"):
        verb = "watch"
    return replace(
        call,
        verb=verb,
        group=group,
        version=version,
        plural=plural,
        namespace=namespace,
        name=name,
        subresource=subresource,
    )
