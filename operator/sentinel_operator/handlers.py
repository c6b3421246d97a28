"""kopf's doors: an event is kept in the mirror and marks the clusters that it may matter to; no more.

Nodes, their orders and endpoints, of which there are thousands, come by `watches`, and are told here as well.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import kopf

from sentinel_api.names import CLUSTER_LABEL, GROUP, VERSION
from sentinel_operator.cluster import STREAM_S
from sentinel_operator.due import ClusterName, Due
from sentinel_operator.mirror import Mirror
from sentinel_operator.objects import SLICE_LABEL, Manifest, is_local
from sentinel_operator.signer import Signer

GONE = "DELETED"
LIST_S = 60.0  # thousands of nodes from a server that is slow
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 15.0


class Endless:
    """Pauses before a watch is tried again, in seconds: kopf ends the process after the last one of a finite list."""

    def __iter__(self) -> Iterator[float]:
        pause_s = FIRST_RETRY_S
        while True:
            yield pause_s
            pause_s = min(2 * pause_s, LAST_RETRY_S)


class Nothing(kopf.DiffBaseStorage):
    """What kopf compares objects with. Nobody here asks it for changes, and to copy each object whole at each event
    took a third of the time of an operator with many reporting nodes."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:  # noqa: ARG002  the port's
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> None:
        """Never was anything stored."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing on our objects is kopf's."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is made of an event. Its kind is `DELETED` when the object is gone; a first listing has no kind."""

    mirror: Mirror
    due: Due

    def cluster(self, kind: str | None, manifest: Manifest) -> None:
        name = ClusterName(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        if kind == GONE:
            self.mirror.clusters.pop(name, None)
            self.due.urge(name)
        elif self.mirror.asks_anew(manifest):
            self.due.urge(name)

    def order(self, kind: str | None, manifest: Manifest) -> None:
        """A report that brings new amounts marks nobody: the next decision reads them."""
        if self.mirror.drop(manifest) if kind == GONE else self.mirror.keep(manifest):
            ref = manifest.get("spec", {}).get("clusterRef", {})
            self.due.mark(ClusterName(ref.get("namespace", ""), ref.get("name", "")))

    def service(self, kind: str | None, manifest: Manifest) -> None:
        """Which cluster serves it is for the look to find out."""
        if self.mirror.drop(manifest) if kind == GONE else self.mirror.keep(manifest):
            self.everyone()

    def endpoints(self, _kind: str | None, manifest: Manifest) -> None:
        """Where the pods of a Service are whose traffic stays local; the look asks for it. All others are nobody's
        concern here, and may be thousands."""
        meta = manifest["metadata"]
        name = (meta.get("namespace"), meta.get("labels", {}).get(SLICE_LABEL))
        local = (each["metadata"] for each in self.mirror.services if is_local(each))
        if any((each["namespace"], each["name"]) == name for each in local):
            self.everyone()

    def node(self, kind: str | None, manifest: Manifest) -> None:
        """Labels decide who owns a node, so each cluster may gain or lose it."""
        if self.mirror.drop(manifest) if kind == GONE else self.mirror.keep(manifest):
            self.everyone()

    def everyone(self) -> None:
        for name in self.mirror.clusters:
            self.due.mark(name)


def api_server(environment: Mapping[str, str]) -> str:
    """As the kubelet tells every pod. kopf asks the cluster's DNS, which may be away when it is needed most."""
    host, port = (environment[f"KUBERNETES_SERVICE_{name}"] for name in ("HOST", "PORT"))
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def registry(told: Told, signer: Signer | None = None) -> kopf.OperatorRegistry:
    """The handlers, bound to one mirror; made per run, since a second operator in a test must not share them."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False  # Events are for people; kopf's own talk of handlers is not
        settings.persistence.finalizer = f"{GROUP}/unused"
        settings.persistence.diffbase_storage = Nothing()
        settings.watching.server_timeout = STREAM_S
        settings.watching.client_timeout = STREAM_S + 30
        settings.networking.error_backoffs = Endless()
        settings.networking.request_timeout = LIST_S
        settings.scanning.disabled = True

    @kopf.on.login(registry=handlers)
    def login(**known: Any) -> kopf.ConnectionInfo | None:
        """In a pod by its service account, elsewhere by KUBECONFIG; called again when the token was refused."""
        if account := kopf.login_with_service_account(**known):
            return replace(account, server=api_server(os.environ))
        return kopf.login_with_kubeconfig(**known)

    @kopf.on.event(GROUP, VERSION, "bufferclusters", registry=handlers)
    async def cluster_moved(event: kopf.RawEvent, **_: Any) -> None:
        told.cluster(event["type"], dict(event["object"]))

    @kopf.on.event("v1", "services", registry=handlers)
    async def service_moved(event: kopf.RawEvent, **_: Any) -> None:
        told.service(event["type"], dict(event["object"]))

    @kopf.on.event("apps", "v1", "daemonsets", labels={CLUSTER_LABEL: kopf.PRESENT}, registry=handlers)
    async def agents_moved(labels: kopf.Labels, **_: Any) -> None:
        namespace, _dot, name = labels[CLUSTER_LABEL].partition(".")
        told.due.mark(ClusterName(namespace, name))

    if signer is not None:
        _sign(handlers, signer)
    return handlers


def _sign(handlers: kopf.OperatorRegistry, signer: Signer) -> None:
    """Watched only where the mesh is secured: elsewhere nobody has the right to."""

    @kopf.on.event("certificates.k8s.io", "v1", "certificatesigningrequests", registry=handlers)
    async def asked(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] != GONE:
            await signer.answer(dict(event["object"]))
