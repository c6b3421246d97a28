"""The flow table: what it says of a flow is true, also when it is full."""

import time

import numpy as np
import pytest

from sentinel_bpf import testrun
from sentinel_bpf.agent import load_agent
from sentinel_bpf.flows import FlowSums
from sentinel_lab.bench import bpf_frames, bpf_loop
from support.data_plane.agent import OBJECT, XDP_PASS
from support.frames import ACK, CLIENT4, FIN, RST, SERVER4, SYN, answer4, syn_options, tcp4, timestamps, udp4, udp6

SYN_SEEN, FIN_SEEN, RST_SEEN, ESTABLISHED, MIDSTREAM = 1, 2, 4, 8, 16
MS_NS = 1_000_000


def apart_us(first, second):
    """Does both, and what may lie between their packets: no less than was slept, no more than all of it took."""
    start = time.monotonic_ns()
    first()
    slept = time.monotonic_ns()
    time.sleep(0.015)
    woken = time.monotonic_ns()
    second()
    return range((woken - slept) // 1000, (time.monotonic_ns() - start) // 1000 + 1)


def test_a_flow_is_its_five_tuple_and_keeps_its_sums(plane):
    frames = [udp4(), udp4(b"more"), udp4(source_port=41000), udp6(), tcp4()]
    for frame in frames:
        plane.run(frame)
    assert len(plane.flows()) == 4
    assert plane.cell()["new_flows"] == 4
    found = {
        (int(key["protocol"]), int(key["source_port"]), int(flow["ip_version"])): flow for key, flow in plane.flows()
    }
    mine = found[17, 40000, 4]
    assert (mine["packets"], mine["bytes"]) == (2, len(frames[0]) + len(frames[1]))
    assert 0 < mine["first_ns"] < mine["last_ns"]


def test_ipv4_addresses_are_mapped(plane):
    plane.run(udp4())
    ((key, _),) = plane.flows()
    mapped = bytes(10) + b"\xff\xff"
    assert key["source"].tobytes() == mapped + bytes([192, 0, 2, 7])
    assert key["destination"].tobytes() == mapped + bytes([198, 51, 100, 9])
    assert (CLIENT4, SERVER4) == ("192.0.2.7", "198.51.100.9")


@pytest.mark.parametrize(
    ("sent", "state"),
    [
        pytest.param([SYN], SYN_SEEN, id="a SYN alone"),
        pytest.param([SYN, SYN], SYN_SEEN, id="a SYN sent again"),
        pytest.param([SYN, ACK], SYN_SEEN | ESTABLISHED, id="a handshake"),
        pytest.param([SYN, ACK, FIN | ACK], SYN_SEEN | ESTABLISHED | FIN_SEEN, id="a whole life"),
        pytest.param([SYN, RST], SYN_SEEN | RST_SEEN, id="refused"),
        pytest.param([ACK], MIDSTREAM, id="met in the middle"),
        pytest.param([ACK, RST | ACK], MIDSTREAM | RST_SEEN, id="reset in the middle"),
        pytest.param([SYN, ACK, FIN | ACK, SYN], SYN_SEEN, id="the same ports again"),
    ],
)
def test_tcp_states(plane, sent, state):
    for flags in sent:
        plane.run(tcp4(flags=flags))
    assert plane.flow()["tcp_state"] == state


def test_the_round_trip_is_from_syn_to_first_ack(plane):
    first_us = apart_us(lambda: plane.run(tcp4(flags=SYN)), lambda: plane.run(tcp4()))
    first = plane.flow()["rtt_us"]
    assert first in first_us
    time.sleep(0.01)
    plane.run(tcp4())
    assert plane.flow()["rtt_us"] == plane.flow()["rtt_min_us"] == first


def test_a_syn_sent_again_makes_no_round_trip(plane):
    for flags in (SYN, SYN, ACK):
        plane.run(tcp4(flags=flags))
    assert plane.flow()["rtt_us"] == 0


def test_the_round_trip_follows_timestamps_where_both_directions_are_seen(plane):
    """The server's packet carries 500; the client's echo of it, later, closes the loop of the client's flow."""

    def rtt_us() -> int:
        return next(int(value["rtt_us"]) for key, value in plane.flows() if key["source_port"] == 40000)

    def echo() -> None:
        plane.run(tcp4(options=timestamps(101, 499)))
        assert rtt_us() == 0, "an older echo proves nothing"
        plane.run(tcp4(options=timestamps(102, 500)))

    plane.run(tcp4(options=timestamps(100, 0)))
    possible_us = apart_us(lambda: plane.run(answer4(options=timestamps(500, 100))), echo)
    assert rtt_us() in possible_us


def test_timestamps_are_found_in_a_syn_too(plane):
    plane.run(tcp4(flags=SYN, options=syn_options(77)))
    assert plane.flow()["timestamp"] == 77


def test_throughput_is_that_of_two_panes_and_not_of_the_last_gap(plane):
    """A gigabyte over a window of 1000 s, the last packet just now: its gap would say a thousand times the rate. What
    the window then begins with is the pane that ended, and a packet within the new one changes nothing."""
    frame = udp4()
    plane.run(frame)
    ((key, flow),) = plane.flows()
    flow, now = flow.copy(), time.monotonic_ns()
    flow["bytes"], flow["previous_from_bytes"], flow["pane_from_bytes"] = 10**9 + 5000, 5000, 7000
    flow["previous_ns"], flow["pane_ns"] = now - 1_000_000 * MS_NS, now - 500_000 * MS_NS
    flow["last_ns"] = now
    plane.object.map("sn_flows").put(key, flow)
    plane.run(frame, repeat=2)
    after = plane.flow()
    assert 0.9 * 10**6 < after["throughput_Bps"] <= 10**6
    assert (after["previous_ns"], after["previous_from_bytes"]) == (flow["pane_ns"], 7000)
    assert after["pane_from_bytes"] == 10**9 + 5000


def test_bdp_and_the_optimal_buffer_do_not_overflow_32_bits(plane):
    """A flow that was given 40 Gbit/s and 900 ms: its BDP is 4.5 GB. For so long that it does not matter how long this
    takes."""
    plane.run(tcp4(flags=SYN))
    ((key, flow),) = plane.flows()
    flow = flow.copy()
    now = time.monotonic_ns()
    flow["rtt_us"] = 900_000
    flow["previous_ns"] = now - 3_400 * MS_NS
    flow["pane_ns"] = now - 60 * MS_NS
    flow["bytes"] = 17 * 10**9
    flow["tcp_state"] = MIDSTREAM
    plane.object.map("sn_flows").put(key, flow)
    plane.run(tcp4())
    flow = plane.flow()
    assert flow["throughput_Bps"] > 25 * 10**8
    assert int(flow["bdp_bytes"]) == int(flow["throughput_Bps"]) * 900_000 // 1_000_000 > 1 << 31
    assert int(flow["optimal_bytes"]) == int(flow["bdp_bytes"]) * 9 // 5


def test_a_full_table_evicts_and_gives_nobody_another_flows_bytes(load_plane):
    plane = load_plane(sizes={"sn_flows": 1024})
    count = 3000
    for port in range(count):
        plane.run(udp4(bytes(port % 400), source_port=port + 1))
    flows = plane.flows()
    assert len(flows) <= 1024
    assert plane.cell()["new_flows"] == count, "each was new once, for none came twice"
    sums = FlowSums(plane.object)
    assert (sums.entered(), sums.refused()) == (count, 0)
    assert sums.evicted(sums.entered(), len(flows)) == count - len(flows) >= count - 1024
    for key, flow in flows:
        port = int(key["source_port"])
        assert (flow["packets"], flow["bytes"]) == (1, len(udp4(bytes((port - 1) % 400), source_port=port)))
    assert plane.cell()["packets"] == count


def test_an_evicted_flow_is_new_when_it_speaks_again(load_plane):
    plane = load_plane(sizes={"sn_flows": 256})
    for port in range(3000):
        plane.run(tcp4(source_port=port + 1))
    plane.run(tcp4(source_port=1))
    (again,) = [value for key, value in plane.flows() if key["source_port"] == 1]
    assert (again["packets"], again["tcp_state"]) == (1, MIDSTREAM)
    assert plane.cell()["new_flows"] == 3001


def test_a_count_of_evictions_never_shrinks(plane):
    sums = FlowSums(plane.object)
    assert [sums.evicted(10, entries) for entries in (10, 7, 9)] == [0, 3, 3]


def test_a_flow_that_came_twice_was_entered_once(plane):
    plane.run(udp4(), repeat=5)
    assert FlowSums(plane.object).entered() == 1


def test_a_table_of_another_size_evicted_none_of_the_old_ones_flows(built, bpffs):
    found = []
    for size in (1024, 1024, 2048):
        with load_agent(
            OBJECT, max_entries={"sn_flows": size}, programs=frozenset({"sn_ingress"}), pins=bpffs / "maps"
        ) as agent:
            testrun.run(agent.program("sn_ingress"), udp4(source_port=size))
            testrun.run(agent.program("sn_ingress"), udp4(source_port=len(found) + 1))
            sums, entries = FlowSums(agent), len(agent.map("sn_flows").dump()[1])
            found.append((entries, sums.entered(), sums.evicted(sums.entered(), entries)))
    assert found == [(2, 2, 0), (3, 3, 0), (2, 2, 0)]


@pytest.mark.slow
@pytest.mark.parametrize("flows", [1 << 19, 1 << 21], ids=["half full", "twice too many"])
def test_a_million_entries_are_found_again_or_evicted_and_never_mixed_up(built, flows):
    """The benchmark's loop sends one packet of each flow; LRU keeps a few places of a full table free for each CPU."""
    size = 1 << 20
    with (
        bpf_loop.loop_over(bpf_frames.PLAIN4) as (loop, _),
        load_agent(OBJECT, max_entries={"sn_flows": size}, programs=frozenset({"sn_ingress"})) as agent,
    ):
        target = bpf_loop.Target("full", agent.program("sn_ingress").descriptor, XDP_PASS, agent)
        loop.once(target, flows)
        keys, entries = agent.map("sn_flows").dump()
        sums = FlowSums(agent)
        assert (sums.entered(), sums.refused()) == (flows, 0)
        evicted = sums.evicted(flows, len(entries))
    assert len(entries) == flows - evicted <= size
    assert evicted == 0 if flows < size else len(entries) > size // 2
    assert len(np.unique(keys.view(f"S{keys.itemsize}"))) == len(keys)
    assert set(entries["packets"].tolist()) == {1}
    assert set(entries["bytes"].tolist()) == {len(bpf_frames.PLAIN4.data)}


def test_entries_of_the_flow_table_begin_on_cache_lines(plane):
    """The kernel packs them: 48 bytes of its own, key, value."""
    flows = plane.object.map("sn_flows")
    assert (48 + flows.key.itemsize + flows.value.itemsize) % 64 == 0
    fields = flows.value.fields
    assert all((48 + flows.key.itemsize + fields[name][1]) % 64 == 0 for name in ("timestamp", "previous_ns"))
