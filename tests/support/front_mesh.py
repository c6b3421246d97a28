"""The mesh of a front: whom its balancers hear, and its routers where it has zones."""

from prometheus_client.parser import text_string_to_metric_families

from sentinel_api.names import ZONE_LABEL
from sentinel_operator.render.balancers import METRICS_PORT
from support import shipped
from support.cluster.provider import Cluster
from support.front import BUFFERS, EDGES
from support.front_bursts import exposed

ZONES = {"edge1": "east", "buffer1": "east", "buffer2": "east", "edge2": "west", "buffer3": "west"}
ROUTERS = 2 * len(set(ZONES.values()))


def zoned(cluster: Cluster) -> None:
    for node, zone in ZONES.items():
        cluster.kubectl("label", "node", node, f"{ZONE_LABEL}={zone}")


def all_hear_all(cluster: Cluster) -> bool:
    """Each balancer hears every buffer node; agents behind routers hear no states."""
    return all(_heard_at(cluster, edge) == set(BUFFERS) for edge in EDGES)


def _heard_at(cluster: Cluster, edge: str) -> set[str]:
    """Ready are only those whose word is fresh."""
    try:
        text = exposed(cluster, edge, METRICS_PORT)
    except OSError:
        return set()
    return {
        each.labels["backend"]
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name == "sentinel_lb_backend_state" and each.labels["state"] == "ready" and each.value
    }


def rolled(cluster: Cluster, agents: set[str], balancers: set[str]) -> bool:
    """All of both are others than these, and ready."""
    now = {"agent": shipped.running_pods(cluster, "agent"), "balancer": shipped.running_pods(cluster, "balancer")}
    whole = len(now["agent"]) == len(BUFFERS) and len(now["balancer"]) == len(EDGES)
    return whole and not (now["agent"] & agents or now["balancer"] & balancers)
