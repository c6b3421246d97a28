"""A scenario as the configuration a user of the product would write for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sentinel_lab.topology import NODE_DEVICE

if TYPE_CHECKING:
    from sentinel_lab.scenario import Scenario, TrafficClass

LONGEST_MS = 10_000  # the most the product lets a class wait
SMALLEST_POOL = 65_536  # the smallest calm size the product takes


def _protocols(each: TrafficClass) -> tuple[str, ...]:
    if each.kind == "bulk":
        return ("TCP",)
    return ("UDP", "TCP") if each.flood else ("UDP",)


def configuration(scenario: Scenario) -> dict[str, Any]:
    """The longest wait is what the whole pool takes to drain at the smallest share of the link, so that the pool is the
    only bound, as it is for the other policies; and the calm size is that of the floors, so that nothing is lent before
    others could have it."""
    slowest = scenario.drain_bytes_per_s * min(each.guaranteed_share for each in scenario.resizable)
    longest_ms = max(1, min(LONGEST_MS, int(scenario.pool_bytes * 1000 / slowest)))
    return {
        "trafficClasses": [
            {
                "name": each.name,
                "match": [{"protocol": protocol, "port": each.port} for protocol in _protocols(each)],
                "maxDelayMillis": longest_ms,
                "floorBytes": each.floor_bytes,
                "weight": round(100 * each.guaranteed_share),
                "priority": each.priority,
                "dropCost": each.drop_cost,
            }
            for each in scenario.classes
        ],
        "classIds": {each.name: each.id for each in scenario.classes},
        "pool": {
            "minBytes": max(SMALLEST_POOL, sum(scenario.start_limits().values())),
            "maxBytes": scenario.pool_bytes,
        },
        "dataPlane": {
            "interfaces": [
                {
                    "name": NODE_DEVICE,
                    "direction": "Ingress",
                    "rateBitsPerSecond": scenario.drain_bytes_per_s * 8,
                }
            ],
            "onAgentExit": "Detach",
        },
    }
