"""Who sends most: the biggest flows by name, and each source by its packets and SYNs."""

import os
import random
import time

import pytest

from support.frames import ACK, FIN, SYN, tcp4, udp4

MS_NS = 1_000_000
SILENT_NS, REPORT_NS = 1000 * MS_NS, 200 * MS_NS


def test_the_biggest_flows_are_named(plane):
    frames = {port: udp4(bytes(size), source_port=port) for port, size in ((1, 20), (2, 1400), (3, 100))}
    for _ in range(3):
        for frame in frames.values():
            plane.run(frame, repeat=5)
        time.sleep(0.06)
    for frame in frames.values():
        plane.run(frame)
    top = plane.object.map("sn_top").view()
    found = sorted(top[top["seen_ns"] > 0], key=lambda each: -int(each["throughput_Bps"]))
    assert int(found[0]["key"]["source_port"]) == 2


def tell(plane, sizes):
    """Each flow, by its port, has sent so much over its window, and then sends the packet that tells of it."""
    for port in sizes:
        plane.run(udp4(source_port=port))
    table = plane.object.map("sn_flows")
    now = time.monotonic_ns()
    for key, flow in plane.flows():
        if int(key["source_port"]) in sizes:
            flow["bytes"] = sizes[int(key["source_port"])]
            # So long a window that it does not matter how long this takes.
            flow["previous_ns"], flow["pane_ns"] = now - 1000 * 1000 * MS_NS, now - 60 * MS_NS
            table.put(key, flow)
    began = time.monotonic_ns()
    for port in sizes:
        plane.run(udp4(source_port=port))
    return time.monotonic_ns() - began


def biggest(plane):
    """Ports of the flows that are named, the biggest first."""
    top = plane.object.map("sn_top").view()
    return [
        int(each["key"]["source_port"])
        for each in sorted(top[top["seen_ns"] > 0], key=lambda each: -int(each["throughput_Bps"]))
    ]


def test_the_ten_biggest_of_many_are_all_there_once(plane):
    chance = random.Random(3)
    small = [(port, chance.randrange(1_000, 50_000)) for port in range(1, 201)]
    big = [(port, 10**7 << port - 201) for port in range(201, 211)]
    while tell(plane, dict(chance.sample(small + big, 210))) > SILENT_NS // 2:  # who spoke a second ago has no place
        plane.forget()
    found = biggest(plane)
    assert found[:10] == list(range(210, 200, -1))
    assert len(set(found)) == len(found)


@pytest.fixture
def one_cpu():
    """Each CPU has slots of its own: whoever falls silent on one leaves nothing to another's flows."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_cpu")
def test_who_falls_silent_leaves_its_slot_to_smaller_flows(plane):
    tell(plane, {1: 10**9})
    assert biggest(plane) == [1]
    plane.object.map("sn_top").view(writable=True)["seen_ns"][...] = 1
    tell(plane, dict.fromkeys(range(2, 300), 2_000))
    assert 1 not in biggest(plane)


def test_a_source_is_known_by_its_packets_and_its_syns(plane):
    for port in range(10):
        plane.run(tcp4(flags=SYN, source_port=1000 + port))
    plane.run(udp4(source_port=5))
    keys, values = plane.object.map("sn_sources").dump()
    assert len(keys) == 1
    assert (values[0]["syns"], values[0]["packets"]) == (10, 11)


def sources_packets(plane):
    return int(plane.object.map("sn_sources").dump()[1][0]["packets"])


@pytest.mark.parametrize(
    ("untold", "told_ms_ago", "then"),
    [
        pytest.param(20, 10, 1, id="few packets wait for more"),
        pytest.param(30, 10, 32, id="a batch is full as the pane ends"),
        pytest.param(20, 250, 22, id="nothing waits longer than a fifth of a second"),
    ],
)
def test_a_flow_tells_its_source_in_batches(plane, untold, told_ms_ago, then):
    plane.run(udp4())
    plane.run(udp4(), repeat=untold)
    ((key, flow),) = plane.flows()
    flow["reported_packets"] = 1
    source, in_time = plane.object.map("sn_sources").dump()[0][0], False
    while not in_time:
        now = time.monotonic_ns()
        flow["pane_ns"] = now - 60 * MS_NS
        flow["reported_ms"] = (now - told_ms_ago * MS_NS) >> 20 & 0xFFFFFFFF
        plane.object.map("sn_flows").put(key, flow)
        plane.object.map("sn_sources").put(source, packets=1)
        plane.run(udp4())
        in_time = time.monotonic_ns() - now < REPORT_NS // 2
    assert sources_packets(plane) == then


@pytest.mark.parametrize(
    ("sent", "told"),
    [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (31, 16), (32, 32), (63, 32), (64, 64), (1000, 992)],
)
def test_a_flow_that_falls_silent_leaves_few_packets_untold(load_plane, sent, told):
    """All within one pane, which no later packet turns."""
    plane = load_plane(sn_pane_ns=1 << 62)
    plane.run(udp4(), repeat=sent)
    assert sources_packets(plane) == told


def test_told_of_each_packet_a_source_is_counted_exactly(load_plane):
    plane = load_plane(sn_pane_ns=1 << 62, sn_told_at_once=1)
    for port in range(1, 6):
        plane.run(udp4(source_port=port), repeat=7 * port)
    assert sources_packets(plane) == 7 * 15


def test_what_a_source_was_not_told_of_stands_in_its_flows(load_plane):
    """So a reader of both tables has each packet, but for those of flows that were evicted meanwhile."""
    plane = load_plane(sn_pane_ns=1 << 62)
    sent = {1: 7, 2: 31, 3: 100}
    for port, packets in sent.items():
        plane.run(udp4(source_port=port), repeat=packets)
    untold = sum(int(flow["packets"]) - int(flow["reported_packets"]) for _, flow in plane.flows())
    assert untold > 0
    assert sources_packets(plane) + untold == sum(sent.values())


def test_a_sources_rate_is_that_of_all_its_short_flows(plane):
    """A thousand flows of four packets over a second that is told by the state."""
    for port in range(1, 1001):
        for _ in range(4):  # to repeat in the kernel takes a grace period of RCU each time
            plane.run(udp4(source_port=port))
    table = plane.object.map("sn_sources")
    ((key,), (source,)) = table.dump()
    assert source["packets"] == 4000
    source = source.copy()
    start = time.monotonic_ns() - 1000 * MS_NS
    source["window_ns"], source["window_packets"] = start, 4000
    table.put(key, source)
    plane.run(udp4(source_port=2000))
    most_s = (time.monotonic_ns() - start) / 1e9
    ((_,), (source,)) = table.dump()
    assert 4000 / most_s - 1 <= source["packets_per_s"] <= 4000


def test_a_flow_that_ends_leaves_nothing_untold(plane):
    plane.run(tcp4(flags=ACK), repeat=5)
    plane.run(tcp4(flags=FIN | ACK))
    assert sources_packets(plane) == 6
