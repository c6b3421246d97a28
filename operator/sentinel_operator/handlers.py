"""kopf's doors: an event is only a hint that something moved, so each handler marks a cluster and no more."""

from typing import Any

import kopf

from sentinel_api.names import CLUSTER_LABEL, GROUP, VERSION
from sentinel_operator.due import ClusterName, Due

STREAM_S = 300  # the API server closes watches anyway; an end of our own choosing is no error in the log


def registry(due: Due) -> kopf.OperatorRegistry:
    """The handlers, bound to one queue; made per run, since a second operator in a test must not share them."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False  # Events are for people; kopf's own talk of handlers is not
        settings.persistence.finalizer = f"{GROUP}/unused"
        settings.watching.server_timeout = STREAM_S
        settings.watching.client_timeout = STREAM_S + 30
        settings.scanning.disabled = True

    @kopf.on.login(registry=handlers)
    def login(**known: Any) -> kopf.ConnectionInfo | None:
        """In a pod by its service account, elsewhere by KUBECONFIG; called again when the token was refused."""
        return kopf.login_with_service_account(**known) or kopf.login_with_kubeconfig(**known)

    @kopf.on.event(GROUP, VERSION, "bufferclusters", registry=handlers)
    async def cluster_moved(namespace: str | None, name: str | None, **_: Any) -> None:
        due.mark(ClusterName(namespace or "", name or ""))

    @kopf.on.event(GROUP, VERSION, "buffernodes", registry=handlers)
    async def node_moved(spec: kopf.Spec, **_: Any) -> None:
        ref = spec.get("clusterRef", {})
        due.mark(ClusterName(ref.get("namespace", ""), ref.get("name", "")))

    @kopf.on.event("apps", "v1", "daemonsets", labels={CLUSTER_LABEL: kopf.PRESENT}, registry=handlers)
    async def agents_moved(labels: kopf.Labels, **_: Any) -> None:
        namespace, _dot, name = labels[CLUSTER_LABEL].partition(".")
        due.mark(ClusterName(namespace, name))

    return handlers
