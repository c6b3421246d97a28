"""The first rule that is true of a packet names its class, and a set of rules is replaced whole."""

import threading
import time

import pytest

from sentinel_core.rules import Range, Rule, address_range
from support.data_plane.agent import XDP_PASS
from support.frames import (
    CLIENT6,
    ICMP,
    MORE_FRAGMENTS,
    SERVER6,
    TCP,
    UDP,
    ethernet,
    icmp,
    ipv4,
    tcp4,
    udp,
    udp4,
    udp6,
)

FRAME = udp4()  # 192.0.2.7:40000 → 198.51.100.9:53
PING = ethernet(ipv4(icmp(), protocol=ICMP))


def net(cidr: str) -> Range:
    return address_range(cidr)


def class_of(plane, frame: bytes) -> int:
    """The class that one more packet was counted in."""
    before = [plane.cell(c)["packets"] for c in range(16)]
    plane.run(frame)
    grown = [c for c in range(16) if plane.cell(c)["packets"] > before[c]]
    assert len(grown) == 1
    return grown[0]


@pytest.mark.parametrize(
    ("rule", "frame", "matches"),
    [
        pytest.param(Rule(3), FRAME, True, id="a rule that asks nothing"),
        pytest.param(Rule(3, source=net("192.0.2.0/24")), FRAME, True, id="source prefix"),
        pytest.param(Rule(3, source=net("192.0.2.8/29")), FRAME, False, id="beside the source prefix"),
        pytest.param(Rule(3, source=net("192.0.2.7/32")), FRAME, True, id="one source"),
        pytest.param(Rule(3, source=net("0.0.0.0/0")), FRAME, True, id="any IPv4"),
        pytest.param(Rule(3, source=net("0.0.0.0/0")), udp6(), False, id="any IPv4 is no IPv6"),
        pytest.param(Rule(3, destination=net("198.51.100.9/32")), FRAME, True, id="one destination"),
        pytest.param(Rule(3, destination=net("192.0.2.0/24")), FRAME, False, id="the source is no destination"),
        pytest.param(Rule(3, source=net("2001:db8::/64")), udp6(), True, id="IPv6 prefix"),
        pytest.param(Rule(3, source=net("2001:db8:0:1::/64")), udp6(), False, id="beside the IPv6 prefix"),
        pytest.param(Rule(3, destination=net(f"{SERVER6}/128")), udp6(), True, id="one IPv6 destination"),
        pytest.param(Rule(3, protocol=UDP), FRAME, True, id="protocol"),
        pytest.param(Rule(3, protocol=TCP), FRAME, False, id="other protocol"),
        pytest.param(Rule(3, destination_ports=(53, 53)), FRAME, True, id="one port"),
        pytest.param(Rule(3, destination_ports=(1, 52)), FRAME, False, id="below the port"),
        pytest.param(Rule(3, destination_ports=(54, 65535)), FRAME, False, id="above the port"),
        pytest.param(Rule(3, source_ports=(40000, 40001)), FRAME, True, id="source port range"),
        pytest.param(Rule(3, source_ports=(0, 65535)), FRAME, True, id="all ports"),
        pytest.param(Rule(3, destination_ports=(0, 65535)), PING, False, id="no ports"),
        pytest.param(
            Rule(3, destination_ports=(53, 53)),
            ethernet(ipv4(udp(bytes(40)), fragment=MORE_FRAGMENTS)),
            False,
            id="a first fragment is like the others",
        ),
        pytest.param(Rule(3, dscp=46), udp4(tos=46 << 2), True, id="dscp"),
        pytest.param(Rule(3, dscp=46), udp4(tos=46 << 2 | 3), True, id="dscp whatever the ECN bits"),
        pytest.param(Rule(3, dscp=46), FRAME, False, id="other dscp"),
        pytest.param(Rule(3, dscp=0), FRAME, True, id="dscp zero is asked for"),
        pytest.param(Rule(3, dscp=46), udp6(traffic_class=46 << 2), True, id="IPv6 dscp"),
        pytest.param(Rule(3, source=net(f"{CLIENT6}/128"), protocol=UDP, dscp=0), udp6(), True, id="all at once"),
    ],
)
def test_what_a_rule_asks(plane, rule, frame, matches):
    plane.rules.replace([rule])
    assert class_of(plane, frame) == (3 if matches else 0)


def test_the_first_match_wins(plane):
    plane.rules.replace([Rule(1, protocol=TCP), Rule(2, destination_ports=(53, 53)), Rule(3)])
    assert [class_of(plane, frame) for frame in (tcp4(), FRAME, udp6())] == [1, 2, 2]


def test_without_rules_all_is_unmatched_and_the_last_of_a_full_table_is_found(plane):
    assert class_of(plane, FRAME) == 0
    never = Rule(1, source=net("203.0.113.1/32"))
    plane.rules.replace([never] * 1023 + [Rule(15)])
    assert class_of(plane, FRAME) == 15


def test_no_rule_of_an_earlier_set_is_asked(plane):
    """It still stands in the bank that is filled again, behind the end of the new set."""
    never = Rule(1, source=net("203.0.113.1/32"))
    for behind in range(1, 18):
        plane.rules.replace([never] * behind + [Rule(3)])
        plane.rules.replace([])
        plane.rules.replace([never] * behind)
        assert class_of(plane, FRAME) == 0


def test_a_known_flow_changes_its_class_with_the_rules_and_with_its_dscp(plane):
    plane.rules.replace([Rule(4, dscp=46), Rule(5)])
    assert class_of(plane, FRAME) == 5
    assert class_of(plane, udp4(tos=46 << 2)) == 4
    plane.rules.replace([Rule(6)])
    assert class_of(plane, FRAME) == 6
    assert len(plane.flows()) == 1


def test_a_class_beyond_the_table_is_unmatched(plane):
    """User space never writes one; a broken map must not make the kernel write elsewhere."""
    plane.rules.replace([Rule(200)])
    assert class_of(plane, FRAME) == 0


BATCH, BATCHES = 4_000, 30  # a repeated run begins and ends with a grace period of RCU, so few long ones


@pytest.mark.timeout(600)
@pytest.mark.parametrize("flows_on", [1, 0], ids=["cached in the flow", "asked for each packet"])
def test_rules_are_swapped_under_load_without_a_packet_lost_or_in_a_class_of_neither_set(load_plane, flows_on):
    """Both sets know the packet only by their last rule: a half-written bank would leave it unmatched."""
    plane = load_plane(sn_flows_on=flows_on)
    never = [Rule(1, source=net("203.0.113.1/32"))] * 200
    sets = [*never, Rule(3, protocol=UDP)], [*never, Rule(5, protocol=UDP)]
    plane.rules.replace(sets[0])
    done, batches, swaps = threading.Event(), 0, 0

    def traffic() -> None:
        """At least 120 000 packets, and until enough swaps have happened: either thread may be starved for a while."""
        nonlocal batches
        try:
            while batches < BATCHES or swaps <= 10:
                assert plane.run(FRAME, repeat=BATCH) == (XDP_PASS, FRAME)
                batches += 1
        finally:
            done.set()

    sender = threading.Thread(target=traffic)
    sender.start()
    while not done.is_set():
        swaps += 1
        plane.rules.replace(sets[swaps % 2])
        time.sleep(0.001)  # a writer that never rests can starve the sender for minutes on a machine with stolen time
    sender.join()
    counted = {c: plane.cell(c)["packets"] for c in range(16) if plane.cell(c)["packets"]}
    assert sum(counted.values()) == BATCH * batches
    assert batches >= BATCHES, "a packet came back wrong"
    assert set(counted) == {3, 5}
