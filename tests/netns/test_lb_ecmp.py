"""A router spreads flows over two balancers, and one of them goes: no connection meets a node that does not know it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from sentinel_lab.namespaces import run
from support.lb_lab import FRONT, TCP_PORT, VIP4, VIP6, Lab, address, echoed, lab, wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

BALANCERS = ("lb1", "lb2")
NODES = ("node1", "node2")
FLOWS = 32
# A machine that stands still lets living nodes seem dead, and flows move. By chance all would meet their node once in
# ten thousand times.
ATTEMPTS = 3
# A node whose firewall saw no SYN of a connection would have to refuse it: here it only writes down which.
FIREWALL = """
table inet sn_witness {
  set begun4 { type ipv4_addr . inet_service; flags dynamic; size 4096; }
  set begun6 { type ipv6_addr . inet_service; flags dynamic; size 4096; }
  set strangers { type inet_service; flags dynamic; size 4096; }
  chain forward { type filter hook forward priority 0;
    tcp dport PORT tcp flags & (syn | ack) == syn add @begun4 { ip saddr . tcp sport }
    tcp dport PORT tcp flags & (syn | ack) == syn add @begun6 { ip6 saddr . tcp sport }
    tcp dport PORT meta nfproto ipv4 ip saddr . tcp sport != @begun4 add @strangers { tcp sport }
    tcp dport PORT meta nfproto ipv6 ip6 saddr . tcp sport != @begun6 add @strangers { tcp sport }
  }
}
""".replace("PORT", str(TCP_PORT))
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Lab]:
    """One node has far more room, so that half of all flows live at the second candidate of their slot."""
    rates = {"node1": 1_000_000_000, "node2": 100_000_000}
    with lab(tmp_path_factory.mktemp("ecmp"), balancers=BALANCERS, rates=rates) as made:
        for each in made.balancers.values():
            each.start()
        for name in BALANCERS:
            wait_until(lambda name=name: made.states(name) == dict.fromkeys(NODES, "ready"), f"{name} knows both")
        client = made.spaces["client"].name
        for version in (4, 6):
            run("ip", "netns", "exec", client, "sysctl", "-qw", f"net.ipv{version}.fib_multipath_hash_policy=1")
        yield made


@pytest.fixture
def witnessed(site, tmp_path) -> Iterator[Lab]:
    rules = tmp_path / "witness.nft"
    rules.write_text(FIREWALL)
    for name in NODES:
        with site.spaces[name].entered():
            run("nft", "-f", str(rules))
    yield site
    for name in NODES:
        with site.spaces[name].entered():
            run("nft", "delete", "table", "inet", "sn_witness")


def route_over(site: Lab, *balancers: str) -> None:
    """What a router does with the routes that BGP brings it: all of equal cost, by ports."""
    for version, vip in ((4, f"{VIP4}/32"), (6, f"{VIP6}/128")):
        hops = [word for name in balancers for word in ("nexthop", "via", address(name, version), "dev", FRONT)]
        site.spaces["client"].ip(f"-{version}", "route", "replace", vip, *hops)


def ports(site: Lab, node: str, name: str) -> set[int]:
    with site.spaces[node].entered():
        told = json.loads(run("nft", "-j", "list", "set", "inet", "sn_witness", name))
    elements = next(each["set"] for each in told["nftables"] if "set" in each).get("elem", [])
    return {int(each["elem"]["val"]) if isinstance(each, dict) else int(each) for each in elements}


def everybody(site: Lab, name: str) -> set[int]:
    return set().union(*(ports(site, node, name) for node in NODES))


def counted(site: Lab, balancer: str) -> int:
    text = site.balancers[balancer].asked("/metrics", 9467).decode()
    return sum(
        int(float(line.split()[-1]))
        for line in text.splitlines()
        if line.startswith("sentinel_lb_backend_new_flows_total{")
    )


def strangers_after(site: Lab, version: int) -> set[int]:
    """Client ports of connections that met a node without their SYN, while routes went from both balancers to one, and
    to the other."""
    route_over(site, *BALANCERS)
    before = {name: counted(site, name) for name in BALANCERS}
    with ExitStack() as stack:
        opened: list[socket.socket] = []
        for _ in range(FLOWS):
            made = stack.enter_context(site.connected(version))
            assert echoed(made) == b"hello"
            opened.append(made)
        taken = {name: counted(site, name) - before[name] for name in BALANCERS}
        assert min(taken.values()) > 0, f"both take part: {taken}"
        for left in ("lb2", "lb1"):
            route_over(site, left)
            assert all(echoed(made) == b"hello" for made in opened)
    return everybody(site, "strangers")


@pytest.mark.parametrize("version", [4, 6])
def test_when_a_balancer_goes_every_connection_lives_on_at_its_node(witnessed, version):
    """Both have the same ring, and what room decided the nodes know; none of the flows is in the other's table."""
    known: set[int] = set()
    for _ in range(ATTEMPTS):
        found = strangers_after(witnessed, version)
        if not found - known:
            return
        known |= found
    pytest.fail(f"each time connections met another node: {known}; {witnessed.words()}")
