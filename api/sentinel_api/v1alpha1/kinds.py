"""What a custom resource is called, where it lives and how `kubectl get` shows it; crdgen writes it into the CRD."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sentinel_api.v1alpha1.model import Model, Time


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; those of priority 1 show up with `-o wide`."""

    name: str
    path: str
    type: Literal["string", "integer", "date"] = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where `/scale` finds its three values."""

    spec_path: str
    status_path: str
    selector_path: str


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    plural: str
    short_name: str
    scope: Literal["Namespaced", "Cluster"]
    columns: tuple[Column, ...]
    scale: Scale | None = None

    @property
    def singular(self) -> str:
        return self.name.lower()


class OwnerReference(Model):
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Model):
    """The part of Kubernetes' metadata that we read."""

    name: str
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class Resource(Model):
    """A whole object as the API server stores it. Its concrete class fixes `kind`."""

    KIND: ClassVar[Kind]

    api_version: Literal["sentinel.io/v1alpha1"] = "sentinel.io/v1alpha1"
    metadata: ObjectMeta

    def manifest(self) -> dict[str, Any]:
        """What to send to the server: as `wire`, without the empty lists that only clutter metadata."""
        body = self.wire()
        body["metadata"] = {key: value for key, value in body["metadata"].items() if value not in ([], {})}
        return body
