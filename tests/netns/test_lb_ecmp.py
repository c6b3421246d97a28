"""A router spreads flows over two balancers, and one of them goes: no flow meets a node that does not know it."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from sentinel_lab.namespaces import run
from support import routing
from support.lb_lab import (
    FRONT,
    TCP_PORT,
    UDP_PORT,
    VIP4,
    VIP6,
    Lab,
    address,
    balancer_config,
    echoed,
    lab,
    wait_until,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

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
  set datagrams { type inet_service; flags dynamic; size 4096; }
  chain forward { type filter hook forward priority 0;
    tcp dport PORT tcp flags & (syn | ack) == syn add @begun4 { ip saddr . tcp sport }
    tcp dport PORT tcp flags & (syn | ack) == syn add @begun6 { ip6 saddr . tcp sport }
    tcp dport PORT meta nfproto ipv4 ip saddr . tcp sport != @begun4 add @strangers { tcp sport }
    tcp dport PORT meta nfproto ipv6 ip6 saddr . tcp sport != @begun6 add @strangers { tcp sport }
    udp dport DATAGRAMS add @datagrams { udp sport }
  }
}
""".replace("PORT", str(TCP_PORT)).replace("DATAGRAMS", str(UDP_PORT))
# The client is its own router: BIRD learns the addresses from both balancers and gives the kernel every equal way.
BIRD = """
router id 10.78.0.2;
protocol device { scan time 1; }
protocol bfd { interface "FRONT" { min rx interval 100 ms; min tx interval 100 ms; multiplier 5; }; }
protocol kernel { merge paths yes; ipv4 { import none; export all; }; }
protocol kernel { merge paths yes; ipv6 { import none; export all; }; }
template bgp balancer { local as 65002; bfd on; connect delay time 1; error wait time 1, 2; }
""".replace("FRONT", FRONT)
SESSION = """
protocol bgp NAME_VERSION from balancer { neighbor ADDRESS as 65001; ipvVERSION { import all; export none; }; }
"""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Lab]:
    """One node has far more room, so that half of all flows live at the second candidate of their slot."""
    rates = {"node1": 1_000_000_000, "node2": 100_000_000}
    folder = tmp_path_factory.mktemp("ecmp")
    with lab(folder, balancers=BALANCERS, rates=rates) as made:
        for name, each in made.balancers.items():
            (folder / f"frr-{name}").mkdir()
            each.env |= {"SENTINEL_FRR": str(folder / f"frr-{name}"), "SENTINEL_FRR_INSTANCE": instance(name)}
            each.start()
        for name in BALANCERS:
            wait_until(lambda name=name: made.states(name) == dict.fromkeys(NODES, "ready"), f"{name} knows both")
        client = made.spaces["client"].name
        for version in (4, 6):
            run("ip", "netns", "exec", client, "sysctl", "-qw", f"net.ipv{version}.fib_multipath_hash_policy=1")
        yield made


def instance(name: str) -> str:
    return f"sn{os.getpid()}{name}"


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


BGP = {
    "mode": "BGP",
    "bgp": {
        "localAsn": 65001,
        "gracefulRestartSeconds": 0,
        "peers": [
            {"address": address("client", version), "asn": 65002, "bfd": {"multiplier": 5}} for version in (4, 6)
        ],
    },
}


@contextmanager
def bird_routes(site: Lab, folder: Path) -> Iterator[None]:
    """FRR beside both balancers, BIRD on the client, and both ways in its kernel's tables."""
    client = site.spaces["client"]
    for version, vip in ((4, VIP4), (6, VIP6)):
        client.ip(f"-{version}", "route", "flush", vip)
    sessions = [
        SESSION.replace("NAME", name).replace("VERSION", str(version)).replace("ADDRESS", address(name, version))
        for name in BALANCERS
        for version in (4, 6)
    ]
    with ExitStack() as stack:
        for name in BALANCERS:
            routing.frr(stack, site.spaces[name], instance(name), folder)
        routing.Bird(stack, client, folder, BIRD + "".join(sessions))
        site.configure(announce=BGP)
        yield
    site.configure()


def ways(site: Lab) -> dict[int, int]:
    """Next hops of the routes that BIRD put into the client's kernel, by family."""
    found = {}
    for version, vip in ((4, VIP4), (6, VIP6)):
        told = json.loads(site.spaces["client"].ip("-j", f"-{version}", "route", "show", vip, "proto", "bird") or "[]")
        found[version] = sum(len(route.get("nexthops", [route])) for route in told)
    return found


@contextmanager
def cut_off(site: Lab, balancer: str) -> Iterator[None]:
    """Dead to everybody at once. IPv6 forgets what was set on a device that goes down."""
    space = site.spaces[balancer]
    space.ip("link", "set", FRONT, "down")
    try:
        yield
    finally:
        space.ip("link", "set", FRONT, "up")
        space.ip("address", "replace", f"{address(balancer, 6)}/64", "dev", FRONT, "nodad")


def say(flows: list[socket.socket], what: bytes = b"still") -> None:
    for each in flows:
        with suppress(OSError):  # nobody is there just now
            each.send(what)


def hushed(flows: list[socket.socket]) -> None:
    """Nothing that was said before is heard any more."""
    for each in flows:
        each.setblocking(False)
        with suppress(OSError):
            while each.recv(2000) != b"last":
                continue
        each.setblocking(True)


def answered(flow: socket.socket) -> bool:
    """Datagrams may be lost on the way, and their answers."""
    flow.settimeout(1.0)
    said = False

    def heard() -> bool:
        nonlocal said
        with suppress(OSError):
            flow.send(b"last")
            said = flow.recv(2000) == b"last"
        return said

    wait_until(heard, "the flow is answered")
    return said


def forget(site: Lab, *names: str) -> None:
    for node in NODES:
        with site.spaces[node].entered():
            for name in names:
                run("nft", "flush", "set", "inet", "sn_witness", name)


def at_nodes(site: Lab) -> dict[int, str]:
    """Where the datagrams of each client port were seen."""
    return {port: node for node in NODES for port in ports(site, node, "datagrams")}


def both_serve(site: Lab, **changes: object) -> None:
    site.configure(announce=BGP, **changes)
    for name in BALANCERS:
        wait_until(lambda name=name: set(site.states(name)) == set(NODES), f"{name} knows both nodes")
        wait_until(lambda name=name: "dead" not in site.states(name).values(), f"{name} believes both alive")
    wait_until(lambda: ways(site) == {4: 2, 6: 2}, "BIRD gives the kernel two ways to each address")


def strays_when_one_dies(site: Lab) -> set[int]:
    """Client ports of flows that ended at another node than they began at, or met one that did not know them. All begin
    at one node, which drains since: whatever is placed anew goes to the other."""
    both_serve(site)
    wait_until(lambda: set(site.states("lb2").values()) == {"ready"}, "both nodes have room")
    forget(site, "datagrams", "strangers")
    with ExitStack() as stack:
        before = {name: counted(site, name) for name in BALANCERS}
        streams = [stack.enter_context(site.connected(version)) for version in (4, 6) for _ in range(FLOWS)]
        datagrams = [stack.enter_context(site.datagrams(version)) for version in (4, 6) for _ in range(FLOWS)]
        assert all(echoed(each) == b"hello" for each in streams + datagrams)
        taken = {name: counted(site, name) - before[name] for name in BALANCERS}
        assert min(taken.values()) > 0, f"both take part: {taken}"
        began_at = at_nodes(site)
        backends = balancer_config()["backends"]
        both_serve(site, backends=[backends[0] | {"draining": True}, backends[1]])
        for name in BALANCERS:
            wait_until(lambda name=name: site.states(name)["node1"] == "draining", f"{name} drains the node")
        with cut_off(site, "lb2"):

            def gone() -> bool:
                say(datagrams)
                return ways(site) == {4: 1, 6: 1} and site.balancers["lb1"].told()["balancers"] == []

            wait_until(gone, "routes and mesh know that it is gone")
            hushed(datagrams)
            forget(site, "datagrams")
            assert all(answered(each) for each in datagrams)
            assert all(echoed(each) == b"hello" for each in streams)
            ends_at = at_nodes(site)
    return everybody(site, "strangers") | {port for port, node in ends_at.items() if began_at[port] != node}


@pytest.mark.slow
def test_bird_spreads_flows_over_both_balancers_and_none_breaks_when_one_dies(witnessed, tmp_path):
    found = []
    with bird_routes(witnessed, tmp_path):
        for _ in range(ATTEMPTS):
            found.append(strays_when_one_dies(witnessed))
            if not found[-1]:
                return
    pytest.fail(f"each time flows met another node: {found}; {witnessed.words()}")
