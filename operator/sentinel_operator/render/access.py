"""What agents and balancers may do in the API server: their accounts, tied to the roles that the chart ships."""

from sentinel_api.names import AGENT_SERVICE_ACCOUNT
from sentinel_operator.objects import Manifest
from sentinel_operator.render.base import Owner, namespaced

RBAC = "rbac.authorization.k8s.io"
ROLE = "sentinel-agent"  # a ClusterRole of the chart: BufferNodes, and the status of one's own
CONFIG_ROLE = "sentinel-agent-config"  # a ClusterRole of the chart: read ConfigMaps, granted in this namespace only


BALANCER_ACCOUNT = "sentinel-balancer"


def render(owner: Owner) -> tuple[Manifest, ...]:
    """Shared by all clusters of a namespace, hence owned by none; the last one to go takes them along."""
    accounts = tuple(_account(owner, name) for name in (AGENT_SERVICE_ACCOUNT, BALANCER_ACCOUNT))
    return (*accounts, _config_reader(owner), _node_writer(owner))


def _account(owner: Owner, name: str) -> Manifest:
    return _shared(namespaced(owner, "v1", "ServiceAccount", name, "agent"))


def _config_reader(owner: Owner) -> Manifest:
    return _shared(
        namespaced(
            owner, f"{RBAC}/v1", "RoleBinding", CONFIG_ROLE, "agent",
            roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": CONFIG_ROLE},
            subjects=[_subject(owner, AGENT_SERVICE_ACCOUNT), _subject(owner, BALANCER_ACCOUNT)],
        )
    )  # fmt: skip


def _node_writer(owner: Owner) -> Manifest:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {
            "name": f"{ROLE}-{owner.namespace}",
            "labels": {"app.kubernetes.io/managed-by": "sentinel-operator"},
        },
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": ROLE},
        "subjects": [_subject(owner, AGENT_SERVICE_ACCOUNT)],
    }


def _subject(owner: Owner, name: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": name, "namespace": owner.namespace}


def _shared(manifest: Manifest) -> Manifest:
    meta = manifest["metadata"]
    kept = {"app.kubernetes.io/managed-by": "sentinel-operator"}
    return {**manifest, "metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": kept}}
