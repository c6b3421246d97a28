"""What agents and balancers may do in the API server: their accounts, tied to the roles that the chart ships."""

from sentinel_api.names import AGENT_SERVICE_ACCOUNT
from sentinel_operator.objects import Manifest
from sentinel_operator.render.base import Owner, namespaced

RBAC = "rbac.authorization.k8s.io"
ROLE = "sentinel-agent"  # a ClusterRole of the chart: BufferNodes, and the status of one's own
CONFIG_ROLE = "sentinel-agent-config"  # a ClusterRole of the chart: read ConfigMaps, granted in this namespace only
MEMBER_ROLE = "sentinel-mesh-member"  # a ClusterRole of the chart: ask for a certificate and read the answer


BALANCER_ACCOUNT = "sentinel-balancer"
ROUTER_ACCOUNT = "sentinel-router"  # of the mesh; it may ask for a certificate and nothing else


def render(owner: Owner, *, secured: bool, zoned: bool) -> tuple[Manifest, ...]:
    """Shared by all clusters of a namespace, hence owned by none; the last one to go takes them along. `secured`:
    the mesh asks for certificates; `zoned`: its routers do, too."""
    routers = (ROUTER_ACCOUNT,) if secured and zoned else ()
    accounts = tuple(_account(owner, name) for name in (AGENT_SERVICE_ACCOUNT, BALANCER_ACCOUNT, *routers))
    members = (_bound(owner, MEMBER_ROLE, AGENT_SERVICE_ACCOUNT, BALANCER_ACCOUNT, *routers),) if secured else ()
    return (*accounts, _config_reader(owner), _bound(owner, ROLE, AGENT_SERVICE_ACCOUNT), *members)


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


def _bound(owner: Owner, role: str, *accounts: str) -> Manifest:
    """To what no namespace holds: BufferNodes, requests for certificates."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {
            "name": f"{role}-{owner.namespace}",
            "labels": {"app.kubernetes.io/managed-by": "sentinel-operator"},
        },
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [_subject(owner, account) for account in accounts],
    }


def _subject(owner: Owner, name: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": name, "namespace": owner.namespace}


def _shared(manifest: Manifest) -> Manifest:
    meta = manifest["metadata"]
    kept = {"app.kubernetes.io/managed-by": "sentinel-operator"}
    return {**manifest, "metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": kept}}
