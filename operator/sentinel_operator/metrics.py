"""What the autoscaler thinks, for Prometheus; one series a cluster, gone when the cluster is."""

from prometheus_client import Counter, Gauge

from sentinel_api.v1alpha1.clusterstatus import ScalingStatus
from sentinel_operator.decide.autoscale import Thought
from sentinel_operator.due import ClusterName

_CLUSTER = ("namespace", "cluster")


def _gauge(name: str, text: str) -> Gauge:
    return Gauge(f"sentinel_scaling_{name}", text, _CLUSTER)


TARGET = _gauge("target_nodes", "Nodes asked for; absent while nobody acts.")
REQUIRED = _gauge("required_nodes", "Nodes that the forecast calls for.")
REACTIVE = _gauge("reactive_nodes", "Nodes that present demand alone would call for.")
DEMAND = _gauge("demand_p95_bytes_per_second", "Forecast demand at the capacity horizon, 95th percentile.")
COVERAGE = _gauge("coverage_percent", "Share of nodes with a fresh report.")
CORRELATION = _gauge("correlation", "How much nodes deviate from their forecasts together, 0 to 1.")
GAUGES = (TARGET, REQUIRED, REACTIVE, DEMAND, COVERAGE, CORRELATION)
DECISIONS = Counter("sentinel_scaling_decisions", "Changes of the number of nodes.", [*_CLUSTER, "reason", "direction"])


def tell(name: ClusterName, before: ScalingStatus, thought: Thought) -> None:
    now, demand = thought.status, thought.demand
    _set(TARGET, name, now.target_nodes)
    _set(REQUIRED, name, now.required_nodes)
    _set(REACTIVE, name, now.reactive_nodes)
    _set(DEMAND, name, demand.seen.p95)
    _set(COVERAGE, name, demand.coverage_percent)
    _set(CORRELATION, name, demand.correlation)
    if now.decisions != before.decisions and now.decisions[0].applied:
        newest = now.decisions[0]
        direction = "out" if newest.to_nodes > newest.from_nodes else "in"
        DECISIONS.labels(*name, newest.reason, direction).inc()


def forget(name: ClusterName) -> None:
    for gauge in GAUGES:
        gauge.remove(*name)
    DECISIONS.remove_by_labels(dict(zip(_CLUSTER, name, strict=True)))


def _set(gauge: Gauge, name: ClusterName, value: float | None) -> None:
    if value is None:
        gauge.remove(*name)
    else:
        gauge.labels(*name).set(value)
