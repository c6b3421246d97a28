"""Who stands where, and what each process is told: values, written by nobody.

sender ── front ── edge1 (VIP by ARP) ── tunnels ── node1 … nodeN ── back ── receiver (has the VIP) ── front ── sender
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from sentinel_lab.topology import NODE_DEVICE, RECEIVER, SENDER, End, Route, Segment, Topology

if TYPE_CHECKING:
    from collections.abc import Sequence

VIP: Final = "10.78.0.100"
VIP6: Final = "fd78::100"
EDGE: Final = "edge1"
FRONT_SWITCH, BACK_SWITCH, BACK = "frontsw", "backsw", "back"
STREAM_PORT, CALL_PORT, BULK_PORT = 7000, 7080, 7090
PLACED_PORT, LOCAL_PORT = 7001, 7041
MESH_PORT: Final = 7447
SERVICE_ADDRESS: Final = "10.79.0.31"
SERVICE_ADDRESS6: Final = "fd79::31"
NODE_RATE_BITS: Final = 1_000_000_000

ADDRESSES: Final = {SENDER: "10.78.0.2", EDGE: "10.78.0.10", RECEIVER: "10.78.0.31"}


def names(nodes: int) -> tuple[str, ...]:
    return tuple(f"node{index}" for index in range(1, nodes + 1))


def address(role: str) -> str:
    return ADDRESSES.get(role) or f"10.78.0.{20 + int(role.removeprefix('node'))}"


def address6(role: str) -> str:
    """As the other, in words: what ends in .21 ends in ::21."""
    return f"fd78::{address(role).rpartition('.')[2]}"


def topology(nodes: Sequence[str]) -> Topology:
    front = tuple(End(role, NODE_DEVICE, f"{address(role)}/24") for role in (SENDER, EDGE, *nodes, RECEIVER))
    back = [End(role, BACK, f"10.79.0.{20 + index}/24") for index, role in enumerate(nodes, 1)]
    return Topology(
        name=f"failover-{len(nodes)}",
        segments=(
            Segment(FRONT_SWITCH, front),
            Segment(BACK_SWITCH, (*back, End(RECEIVER, BACK, f"{SERVICE_ADDRESS}/24"))),
        ),
        routes=(
            *(Route(role, f"{VIP}/32", SERVICE_ADDRESS) for role in nodes),
            *(Route(role, f"{VIP6}/128", SERVICE_ADDRESS6) for role in nodes),
        ),
        routers=tuple(nodes),
        services=(
            End(RECEIVER, "lo", f"{VIP}/32"),
            End(RECEIVER, "lo", f"{VIP6}/128"),
            *(End(role, NODE_DEVICE, f"{address6(role)}/64") for role in (SENDER, EDGE, *nodes, RECEIVER)),
            *(End(role, BACK, f"fd79::{20 + index}/64") for index, role in enumerate(nodes, 1)),
            End(RECEIVER, BACK, f"{SERVICE_ADDRESS6}/64"),
        ),
    )


def placed_port(node: int) -> int:
    """Of the service, for flows whose node is chosen already."""
    return PLACED_PORT + node


def local_port(node: int) -> int:
    """As that, for traffic that is no matter of choice."""
    return LOCAL_PORT + node


def ports(nodes: int) -> tuple[int, ...]:
    return STREAM_PORT, *map(placed_port, range(nodes)), *map(local_port, range(nodes))


def node_name(role: str) -> str:
    """By which mesh, balancer and pins know it; who made it can be read from it, so that its remains can be removed."""
    return f"lab-{os.getpid()}-{role}"


def agent(rate_bits: int = NODE_RATE_BITS) -> dict[str, Any]:
    return {
        "trafficClasses": [_gold()],
        "dataPlane": {"interfaces": [{"name": NODE_DEVICE, "rateBitsPerSecond": rate_bits}]},
        "balancers": [f"{address(EDGE)}/32"],
    }


def balancer(nodes: Sequence[str]) -> dict[str, Any]:
    return {
        "interface": NODE_DEVICE,
        "trafficClasses": [_gold()],
        "backends": [{"name": node_name(each), "address": address(each)} for each in nodes],
        "vips": [
            {"address": VIP, "port": STREAM_PORT, "protocol": "UDP"},
            {"address": VIP, "port": CALL_PORT, "protocol": "TCP"},
        ],
    }


def environment(role: str, nodes: Sequence[str]) -> dict[str, str]:
    """The same list of peers for everybody, itself among them."""
    return {
        "SENTINEL_NODE_NAME": node_name(role),
        "SENTINEL_MESH_LISTEN": _endpoint(role),
        "SENTINEL_MESH_PEERS": ",".join(_endpoint(each) for each in (EDGE, *nodes)),
    }


def behind_nat() -> str:
    """A node that hands connections on under its own address, as a node port does: only its own table knows them."""
    return f"""
table ip nat_behind {{
  chain pre {{ type nat hook prerouting priority dstnat;
    ip daddr {VIP} tcp dport {CALL_PORT} dnat to {SERVICE_ADDRESS}
  }}
  chain post {{ type nat hook postrouting priority srcnat;
    oifname {BACK} masquerade
  }}
}}
"""


def _gold() -> dict[str, Any]:
    return {"name": "gold", "match": [{"protocol": "UDP", "port": STREAM_PORT, "endPort": CALL_PORT - 1}]}


def _endpoint(role: str) -> str:
    return f"tcp/{address(role)}:{MESH_PORT}"
