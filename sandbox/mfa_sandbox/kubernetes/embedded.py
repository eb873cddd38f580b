"""The embedded Kubernetes as callers see it: started and asked from ordinary, synchronous code."""

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml

from mfa_sandbox.kubernetes import patching
from mfa_sandbox.kubernetes.background import BackgroundServer
from mfa_sandbox.kubernetes.emulator import ClusterEmulator
from mfa_sandbox.kubernetes.faults import Faults, RequestLog
from mfa_sandbox.kubernetes.resources import BUILT_IN, NAMESPACES, ResourceType, from_crds
from mfa_sandbox.kubernetes.rest import RestApi
from mfa_sandbox.kubernetes.store import Store

Object = dict[str, Any]
Objects = list[Object]  # a name of its own, because the class has a method called list
T = TypeVar("T")

_CALL_SECONDS = 30


class EmbeddedKubernetes:
    """A Kubernetes API server in this process, on loopback, without authentication.

    Serves Namespaces, Events, Leases and the resources of `crds` (CustomResourceDefinition objects). All methods may be
    called from any thread but the server's own. Objects given out are copies. After `stop()`, `start()` serves the same
    objects on the same port again, so that an outage can be played.
    """

    def __init__(
        self, crds: Iterable[Mapping[str, Any]] = (), *, namespaces: Iterable[str] = ("default", "kube-system")
    ) -> None:
        self._resources = [*BUILT_IN, *from_crds(crds)]
        self._store = Store()
        self._emulator = ClusterEmulator(RestApi(self._store, self._resources))
        self._server = BackgroundServer(self._emulator)
        for name in namespaces:
            self._store.create(NAMESPACES, "", {"metadata": {"name": name}})

    def start(self) -> Self:
        """Returns once the server listens. Raises RuntimeError when it runs already, OSError when it cannot listen."""
        self._server.start()
        return self

    def stop(self) -> None:
        """End all connections and stop listening; does nothing when it does not run."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Raises RuntimeError before the first start."""
        return self._server.url

    def write_kubeconfig(self, path: str | Path, *, namespace: str = "default") -> Path:
        """A kubeconfig with one context, `sandbox`, in that namespace; readable by its owner alone."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": {"server": self.url}}],
            "users": [{"name": "sandbox", "user": {}}],
            "contexts": [
                {"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": namespace}}
            ],
            "current-context": "sandbox",
        }
        path = Path(path)
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        return path

    @property
    def faults(self) -> Faults:
        """Failures for requests to come."""
        return self._emulator.faults

    @property
    def requests(self) -> RequestLog:
        """What has been asked over HTTP; the methods here are no requests."""
        return self._emulator.log

    def expire_watches(self) -> None:
        """Make every resourceVersion given out so far too old, as etcd's compaction does.

        Open watches get an ERROR event with code 410 and end; a watch or a page that goes on from an old version gets
        410.
        """
        self._run(self._store.history.expire)

    def script(self, path: str, *answers: Object | int) -> None:
        """Answer this very path with these bodies or failures, one after the other and the last one for ever."""
        self._emulator.scripted[path] = [*answers]

    def apply(self, manifest: Mapping[str, Any], *, namespace: str = "default") -> Object:
        """Create the object, or merge the manifest into the one that is there; status apart, as the API server does it.

        `namespace` is where objects go whose manifest has none. Raises ApiError, and TypeError for what is not JSON.
        """
        body = dict(manifest)
        resource = self._resource(f"{body['kind']}.{body['apiVersion']}")
        meta = body["metadata"]
        where = meta.get("namespace", namespace) if resource.namespaced else ""

        def applied() -> Object:
            if self._store.find(resource, where, meta["name"]) is None:
                return self._store.create(resource, where, body)
            return self._store.update(resource, where, meta["name"], lambda old: patching.merge(old, body))

        return self._copied(applied)

    def get(self, resource: str, namespace: str | None, name: str) -> Object | None:
        """`resource` as kubectl takes it: plural, singular, kind, short name, or plural.group; here and below."""
        found = self._resource(resource)
        return self._copied(lambda: self._store.find(found, namespace or "", name))

    def list(self, resource: str, namespace: str | None = None) -> Objects:
        """The objects of a namespace, of all namespaces for None."""
        found = self._resource(resource)
        return self._copied(lambda: self._store.objects_of(found, namespace or ""))

    def patch(
        self, resource: str, namespace: str | None, name: str, patch: Mapping[str, Any], *, subresource: str = ""
    ) -> Object:
        """A JSON merge patch. Raises ApiError."""
        found = self._resource(resource)

        def patched() -> Object:
            change = lambda old: patching.merge(old, patch)  # noqa: E731 - used once
            return self._store.update(found, namespace or "", name, change, subresource=subresource)

        return self._copied(patched)

    def delete(self, resource: str, namespace: str | None, name: str) -> None:
        """Delete it and what it owns. Raises ApiError 404."""
        found = self._resource(resource)
        self._run(lambda: self._store.delete(found, namespace or "", name))

    def _resource(self, word: str) -> ResourceType:
        # In reverse, so that `events` are those of events.k8s.io, whose form the operator writes.
        for resource in reversed(self._resources):
            if resource.answers_to(word):
                return resource
        raise ValueError(f"the embedded Kubernetes has no resource {word!r}")

    def _copied(self, call: Callable[[], T]) -> T:
        return self._run(lambda: copy.deepcopy(call()))

    def _run(self, call: Callable[[], T]) -> T:
        """Call it in the server's thread, which owns the state; while there is none, here."""

        async def called() -> T:
            return call()

        return self._server.result(called(), timeout=_CALL_SECONDS) if self._server.running else call()
