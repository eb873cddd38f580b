"""The demo's cluster: the embedded Kubernetes, or the reader's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import tenacity
import yaml
from kubernetes import client, dynamic
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError
from urllib3.exceptions import HTTPError

import mfa_operator
from mfa_operator.api.enums import API_VERSION
from mfa_operator.api.objects import PolicyRef
from mfa_operator.config.settings import SettingsError
from mfa_operator.kube.connection import ConnectionSettingsError, connect
from mfa_sandbox.kubernetes import EmbeddedKubernetes


class DemoCluster(Protocol):
    """What the demo needs of a cluster."""

    @property
    def kubeconfig(self) -> Path | None: ...

    @property
    def context(self) -> str | None: ...

    def apply(self, manifest: Mapping[str, Any]) -> None: ...

    def policy(self, ref: PolicyRef) -> Mapping[str, Any]:
        """The policy's object; empty where it was deleted."""
        ...

    def reports(self, namespace: str) -> list[Mapping[str, Any]]: ...


def crds() -> list[dict[str, Any]]:
    """The CRDs: in the operator's package where it was installed from a wheel, in deploy/crds in a checkout."""
    package = Path(mfa_operator.__file__).parent
    packaged, checkout = package / "crds", package.parents[1] / "deploy" / "crds"
    folder = packaged if packaged.is_dir() else checkout
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.yaml"))]


@dataclass(frozen=True)
class Embedded:
    """The embedded Kubernetes."""

    server: EmbeddedKubernetes
    kubeconfig: Path
    context: str | None = None

    def apply(self, manifest: Mapping[str, Any]) -> None:
        self.server.apply(manifest)

    def policy(self, ref: PolicyRef) -> Mapping[str, Any]:
        return self.server.get("mfapolicies", ref.namespace, ref.name) or {}

    def reports(self, namespace: str) -> list[Mapping[str, Any]]:
        return list(self.server.list("mfareports", namespace))


@contextmanager
def embedded(scratch: Path, namespace: str) -> Iterator[Embedded]:
    """Start the embedded Kubernetes with the CRDs and the namespace."""
    with EmbeddedKubernetes(crds(), namespaces=("default", namespace)) as server:
        yield Embedded(server, server.write_kubeconfig(scratch / "kubeconfig", namespace=namespace))


class _NotServed(Exception):
    """A CRD was stored and is not served yet."""


class Own:
    """The reader's own cluster."""

    def __init__(self, kubeconfig: Path | None, context: str) -> None:
        """Raises SettingsError where the context does not exist or the cluster does not answer."""
        self.kubeconfig = kubeconfig
        self.context: str | None = context
        try:
            self._api, _ = connect(str(kubeconfig) if kubeconfig else None, context)
            self._client: Any = dynamic.DynamicClient(self._api)  # type: ignore[no-untyped-call]  # it has no types
        except ConnectionSettingsError as error:
            raise SettingsError(str(error)) from error
        except (HTTPError, client.ApiException) as error:
            raise SettingsError(f"the cluster of context {context} does not answer: {error}") from error

    def create(self, manifest: Mapping[str, Any]) -> bool:
        """Create the object; False where it is there already."""
        try:
            self._resource(manifest).create(body=manifest, namespace=manifest["metadata"].get("namespace"))
        except ConflictError:
            return False
        return True

    def delete(self, manifest: Mapping[str, Any]) -> None:
        try:
            self._resource(manifest).delete(manifest["metadata"]["name"])
        except NotFoundError:
            return

    def apply(self, manifest: Mapping[str, Any]) -> None:
        self._resource(manifest).server_side_apply(
            body=dict(manifest), field_manager="mfa-operator-demo", force_conflicts=True
        )

    def policy(self, ref: PolicyRef) -> Mapping[str, Any]:
        try:
            found = self._of("MfaPolicy").get(name=ref.name, namespace=ref.namespace)
        except NotFoundError:
            return {}
        body: Mapping[str, Any] = found.to_dict()
        return body

    def reports(self, namespace: str) -> list[Mapping[str, Any]]:
        return [item.to_dict() for item in self._of("MfaReport").get(namespace=namespace).items]

    def wait_for_crds(self) -> None:
        """Until the API server serves the kinds of the CRDs. Raises SettingsError when that takes over 30 s."""
        extensions = client.ApiextensionsV1Api(self._api)
        names = [crd["metadata"]["name"] for crd in crds()]

        def all_served() -> None:
            for name in names:
                status = extensions.read_custom_resource_definition(name).status
                conditions = (status.conditions if status else None) or []
                if not any(each.type == "Established" and each.status == "True" for each in conditions):
                    raise _NotServed(name)

        try:
            tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(_NotServed),
                stop=tenacity.stop_after_delay(30),
                wait=tenacity.wait_exponential(multiplier=0.1, max=1),
                reraise=True,
            )(all_served)
        except _NotServed as error:
            raise SettingsError(f"the CRD {error} was not established within 30 s") from error

    def _of(self, kind: str) -> Any:  # noqa: ANN401 - the client has no types
        return self._client.resources.get(api_version=API_VERSION, kind=kind)

    def _resource(self, manifest: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the client has no types
        return self._client.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])


@contextmanager
def own(kubeconfig: Path | None, context: str, namespace: str) -> Iterator[Own]:
    """Use the reader's cluster; whatever is created in it is deleted at the end. Raises SettingsError."""
    cluster = Own(kubeconfig, context)
    created: list[Mapping[str, Any]] = []
    wanted = [*crds(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}]
    try:
        # One by one, so that what was created before a failure is deleted too.
        created.extend(manifest for manifest in wanted if cluster.create(manifest))
        cluster.wait_for_crds()
        yield cluster
    finally:
        # The namespace first: its policies and reports go with it, while their kinds are still served.
        for manifest in reversed(created):
            cluster.delete(manifest)
