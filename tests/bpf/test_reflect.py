"""A balancer's probe comes back as an answer, at a bounded rate, and only to those who may ask."""

import subprocess
from pathlib import Path

import pytest

from support.data_plane.agent import MARK, MAY_PROBE, MAY_TUNNEL, XDP_DROP, XDP_PASS, XDP_TX
from support.data_plane.probes import ANSWER, ENDS4, ENDS6, PORT, answered, asked, payload
from support.frames import SERVICE_VLAN, VLAN, ethernet, ipv4, udp4

GAP_NS = 3600 * 10**9  # no test takes so long


@pytest.fixture
def node(load_plane):
    plane = load_plane(sn_probes_on=1, sn_tunnels_on=1)
    plane.allow("192.0.2.0/24", MAY_PROBE | MAY_TUNNEL)
    plane.allow("2001:db8::/32", MAY_PROBE)
    return plane


@pytest.mark.parametrize("ends", [ENDS4, ENDS6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("vlans", [(), [(VLAN, 5)], [(SERVICE_VLAN, 5), (VLAN, 6)]], ids=["untagged", "VLAN", "QinQ"])
@pytest.mark.parametrize("extra", [b"", b"odd", bytes(100)])
def test_a_probe_comes_back_as_an_answer(node, ends, vlans, extra):
    sent = asked(payload(extra=extra), ends, vlans=vlans)
    assert node.run(sent) == (XDP_TX, answered(payload(ANSWER, extra=extra), ends, vlans=vlans))
    assert node.reasons() == {"PROBE_REFLECTED": 1}
    assert node.cell()["packets"] == 0, "a probe is no traffic"
    assert node.flows() == []


@pytest.mark.parametrize(("ends", "family"), [(ENDS4, "-4"), (ENDS6, "-6")], ids=["IPv4", "IPv6"])
def test_a_node_answers_no_probe_that_its_routes_would_send_on(namespace, load_plane, ends, family):
    """A dead node must not be answered for by a neighbour whose card listens to everything."""
    plane = load_plane(sn_probes_on=1, sn_probes_own=1)
    plane.allow("192.0.2.0/24", MAY_PROBE)
    plane.allow("2001:db8::/32", MAY_PROBE)
    for sysctl in (
        "ipv6/conf/all/disable_ipv6=0",
        "ipv6/conf/lo/disable_ipv6=0",
        "ipv4/ip_forward=1",
        "ipv6/conf/all/forwarding=1",
    ):
        name, _, value = sysctl.partition("=")
        Path("/proc/sys/net", name).write_text(value)
    ip("link", "set", "lo", "up")
    ip(family, "route", "add", ends[1], "dev", "lo")
    sent = asked(payload(), ends)
    assert plane.run(sent) == (XDP_PASS, sent)
    assert not own(plane)["mac"].any(), "what is another's teaches nothing"
    ip(family, "route", "delete", ends[1], "dev", "lo")
    ip(family, "address", "add", ends[1], "dev", "lo")
    assert plane.run(sent) == (XDP_TX, answered(payload(ANSWER), ends))
    assert own(plane)["mac"].tobytes() == sent[:6] + bytes(2)


def own(plane):
    """The hardware address that the node learned from probes."""
    return plane.object.map("sn_own").view(writable=True)


def ip(*command):
    subprocess.run(["ip", *command], check=True)


def test_a_probe_without_a_sum_stays_without(node):
    assert node.run(asked(payload(), summed=False)) == (XDP_TX, answered(payload(ANSWER), summed=False))


def test_an_answer_is_not_answered(node):
    """Or two nodes would send one probe to and fro for ever."""
    sent = asked(payload(ANSWER))
    assert node.run(sent) == (XDP_PASS, sent)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(asked(payload(magic=1)), id="another magic"),
        pytest.param(asked(payload(version=2)), id="another version"),
        pytest.param(asked(payload(0)), id="no kind that we know"),
        pytest.param(asked(payload(), port=PORT - 1), id="another port"),
        pytest.param(asked(payload()[:-1]), id="too short"),
        pytest.param(udp4(), id="other traffic"),
    ],
)
def test_what_is_no_probe_goes_on_as_traffic(node, frame):
    assert node.run(frame) == (XDP_PASS, frame)
    assert node.reasons() == {"NO_ORDER": 1}


def test_a_stranger_gets_no_answer(load_plane):
    plane = load_plane(sn_probes_on=1)
    plane.allow("192.0.2.7/32", MAY_TUNNEL)
    sent = asked(payload())
    assert plane.run(sent) == (XDP_PASS, sent)
    assert plane.reasons() == {"PROBE_FOREIGN": 1}


def test_a_strangers_probe_is_traffic_like_any_other(load_plane):
    plane = load_plane(sn_probes_on=1)
    plane.always()
    sent = asked(payload())
    assert plane.run(sent) == (XDP_DROP, sent)
    plane.always(flags=MARK)
    marked = asked(payload(), tos=1)
    assert plane.run(marked) == (XDP_PASS, asked(payload(), tos=3))
    assert (plane.cell()["packets"], plane.cell()["drops"], plane.cell()["marks"]) == (2, 1, 1)
    assert plane.reasons() == {"EARLY_DROP": 1, "MARKED": 1}


def test_the_longest_prefix_decides(node):
    node.allow("192.0.2.7/32", 0)
    assert node.run(asked(payload()))[0] == XDP_PASS


def test_probes_are_not_answered_where_that_is_off(load_plane):
    plane = load_plane()
    plane.allow("192.0.2.0/24", MAY_PROBE)
    sent = asked(payload())
    assert plane.run(sent) == (XDP_PASS, sent)
    assert plane.reasons() == {"NO_ORDER": 1}


def test_a_source_that_asks_too_fast_is_answered_no_more(load_plane):
    plane = load_plane(sn_probes_on=1, sn_probe_gap_ns=GAP_NS)
    plane.allow("192.0.2.0/24", MAY_PROBE)
    verdicts = [plane.run(asked(payload()))[0] for _ in range(40)]
    assert verdicts == [XDP_TX] * 32 + [XDP_DROP] * 8
    assert plane.reasons() == {"PROBE_REFLECTED": 32, "PROBE_OVER_RATE": 8}


def test_one_gap_later_one_more_is_answered(load_plane):
    """The gap is told by the state, not waited for."""
    plane = load_plane(sn_probes_on=1, sn_probe_gap_ns=GAP_NS)
    plane.allow("192.0.2.0/24", MAY_PROBE)
    for _ in range(33):
        plane.run(asked(payload()))
    peers = plane.object.map("sn_peers")
    ((key,), (peer,)) = peers.dump()
    peer = peer.copy()
    peer["next_probe_ns"] -= GAP_NS
    peers.put(key, peer)
    assert [plane.run(asked(payload()))[0] for _ in range(2)] == [XDP_TX, XDP_DROP]


def test_a_probe_through_the_tunnel_is_answered_straight(node):
    inside = asked(payload())
    sent = ethernet(ipv4(inside[14:], protocol=4, destination="198.51.100.1"))
    assert node.run(sent) == (XDP_TX, answered(payload(ANSWER)))
