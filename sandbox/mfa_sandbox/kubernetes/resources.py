"""Which resources the embedded Kubernetes serves: the built-in ones, and those of the CRDs that it is given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, eq=False, kw_only=True)
class ResourceType:
    """One resource of one API version.

    `columns` are the additionalPrinterColumns of a CRD. `has_status` says that `/status` is a subresource, which the
    main resource's writes never touch.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool = True
    has_status: bool = False
    custom: bool = False
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Mapping[str, Any], ...] = ()

    @property
    def api_version(self) -> str:
        """As objects carry it: `group/version`, or `version` alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As error messages name it: `plural.group`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def path(self) -> str:
        """The path of its API version."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    def answers_to(self, word: str) -> bool:
        """Whether it is called that: plural, singular, kind, short name, plural.group, or Kind.apiVersion."""
        return word.lower() in {
            self.plural,
            self.singular,
            self.kind.lower(),
            self.qualified,
            f"{self.kind}.{self.api_version}".lower(),
            *self.short_names,
        }


NAMESPACES = ResourceType(
    group="",
    version="v1",
    plural="namespaces",
    singular="namespace",
    kind="Namespace",
    namespaced=False,
    short_names=("ns",),
)
EVENTS = ResourceType(
    group="events.k8s.io", version="v1", plural="events", singular="event", kind="Event", short_names=("ev",)
)
# The same objects in the older form, in which `kubectl describe` and `kubectl get events` ask for them.
CORE_EVENTS = replace(EVENTS, group="")
LEASES = ResourceType(group="coordination.k8s.io", version="v1", plural="leases", singular="lease", kind="Lease")
BUILT_IN = (NAMESPACES, CORE_EVENTS, EVENTS, LEASES)


def from_crds(crds: Iterable[Mapping[str, Any]]) -> list[ResourceType]:
    """The resources that CustomResourceDefinition objects define, one for each version served.

    Raises ValueError for an object of another kind.
    """
    resources = []
    for crd in crds:
        if crd.get("kind") != "CustomResourceDefinition":
            raise ValueError(f"not a CustomResourceDefinition: {crd.get('kind')}")
        spec = crd["spec"]
        names = spec["names"]
        resources += [
            ResourceType(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                singular=names.get("singular", names["kind"].lower()),
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                has_status="status" in version.get("subresources", {}),
                custom=True,
                short_names=tuple(names.get("shortNames", ())),
                categories=tuple(names.get("categories", ())),
                columns=tuple(version.get("additionalPrinterColumns", ())),
            )
            for version in spec["versions"]
            if version["served"]
        ]
    return resources
