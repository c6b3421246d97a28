"""Where packets go: against the reference under random histories, and each rule by itself."""

import struct
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_bpf import testrun
from sentinel_lb.act.tables import Tables
from support.data_plane import probes
from support.frames import ACK, FIN, MORE_FRAGMENTS, SYN, TCP, ethernet, ipv4, tcp, udp
from support.lb_histories import (
    AGE_S,
    GOLD,
    NODES,
    PERIOD_S,
    RINGS,
    STEP_S,
    STEPS,
    STICKY,
    VIP4,
    carry_out,
    complaint,
    datagram,
    fresh,
    segment,
)
from support.lb_plane import Balancer, pairs_of
from support.reference_balancer import DROP, PASS, TX, Vip

TABLE = 8192  # flows, of the balancer under test
HOUR_NS = 3600 * 10**9
SLOW = {"sn_opens_per_s": 0, "sn_ready_age_ns": int(AGE_S) * 10**9, "sn_mesh_age_ns": int(AGE_S) * 10**9}


@pytest.fixture(scope="module")
def loaded(built):
    balancer = Balancer(**SLOW)
    yield balancer
    balancer.object.close()


@pytest.fixture
def twin(loaded):
    return fresh(loaded)


@pytest.fixture
def three(loaded):
    """Every flow's candidates are 0 and 1."""
    ring = pairs_of(0)
    ring[:, 1] = 1
    return fresh(loaded, ring=ring, nodes=2)


@settings(max_examples=60)
@given(st.lists(STEPS, min_size=5, max_size=60))
def test_kernel_and_reference_agree_whatever_happens(loaded, steps):
    twin = fresh(loaded)
    for step in steps:
        carry_out(twin, *step)
    for port in range(40000, 40012):
        for flags in (ACK, SYN):
            twin.send(segment(flags, port))


def test_a_new_flow_goes_where_its_class_has_room_and_stays(three):
    nodes = three.reference.backends
    nodes[0].rooms = {1: (0, 1000.0), 0: (9000, 1000.0)}
    nodes[1].rooms = {1: (2000, 1000.0), 0: (0, 1000.0)}
    assert three.send(segment()).backend == 1
    assert three.send(datagram()).backend == 0
    nodes[0].rooms[1] = (5000, 1000.0)
    nodes[1].rooms[1] = (0, 1000.0)
    assert three.send(segment(ACK)).backend == 1
    assert three.kernel.reasons() == {"BY_ROOM": 2, "KNOWN": 1}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(1000, 1000, 0.0, id="as much room: all stay where Maglev has them"),
        pytest.param(1100, 1000, 0.0, id="more at the first: all stay"),
        pytest.param(1000, 1100, 0.095, id="a little more at the second draws a few"),
        pytest.param(1000, 2000, 0.6, id="twice as much draws as many as make it four times as many in all"),
        pytest.param(1, 1 << 60, 1.0, id="next to no room draws nobody"),
    ],
)
def test_flows_are_drawn_by_the_square_of_room(three, first, second, expected):
    """And always the same flows."""
    for number, room in enumerate((first, second)):
        three.reference.backends[number].rooms = {1: (room, 1000.0)}
    went = [three.send(segment(port=port)).backend for port in range(1000, 1300)]
    assert abs(sum(went) / len(went) - expected) <= (0.08 if 0 < expected < 1 else 0)


def test_old_news_count_as_none(three):
    three.reference.backends[1].rooms = {1: (2000, 1000.0)}
    assert three.send(segment(port=1)).backend == 1
    three.pass_time(3 * STEP_S)
    three.tell()
    assert three.send(segment(port=2)).reason == "BY_RING"


def test_without_room_the_less_loaded_takes_it(three):
    for number, load in ((0, 90), (1, 10)):
        three.reference.backends[number].rooms = {1: (0, 1000.0)}
        three.reference.backends[number].load = load
    verdict = three.send(segment())
    assert (verdict.backend, verdict.reason) == (1, "BY_LOAD")


def test_a_node_that_says_nothing_takes_what_one_without_room_would_not(three):
    three.reference.backends[0].rooms = {1: (0, 1000.0)}
    assert three.send(segment()).backend == 1


def test_a_drained_node_keeps_its_flows_and_gets_no_new_ones(three):
    kept = three.send(segment(port=1)).backend
    three.reference.backends[kept].draining = True
    assert three.send(segment(ACK, port=1)).backend == kept
    assert all(three.send(segment(port=port)).backend != kept for port in range(2, 20))


def test_when_all_drain_there_is_still_service(three):
    for backend in three.reference.backends.values():
        backend.draining = True
    assert three.send(segment()).backend == 0


@pytest.mark.parametrize(
    ("probe_heard", "mesh_heard", "suspected", "beats", "moves"),
    [
        pytest.param(True, True, False, True, False, id="alive"),
        pytest.param(True, False, False, True, False, id="headless: the agent is dead, the node is not"),
        pytest.param(True, False, True, True, False, id="suspicion alone proves nothing"),
        pytest.param(False, True, False, True, False, id="probes lost, mesh alive"),
        pytest.param(False, True, True, True, True, id="probes lost, and suspected"),
        pytest.param(False, False, False, True, True, id="both silent"),
        pytest.param(False, False, True, False, False, id="the prober is silent: everybody lives"),
    ],
)
def test_a_flow_moves_only_when_two_witnesses_agree(three, probe_heard, mesh_heard, suspected, beats, moves):
    assert three.send(segment()).backend == 0
    three.pass_time(10 * STEP_S)
    reference = three.reference
    reference.period, reference.beat = PERIOD_S, reference.now if beats else 1000.0
    one, other = reference.backends[0], reference.backends[1]
    other.seen = reference.now
    one.seen = reference.now if probe_heard else 1000.0
    one.mesh = reference.now if mesh_heard else 1000.0
    one.suspected = suspected
    verdict = three.send(segment(ACK))
    assert (verdict.backend, verdict.reason) == ((1, "MOVED") if moves else (0, "KNOWN"))
    assert three.send(segment(ACK)).reason == "KNOWN"


def test_when_nobody_lives_packets_are_dropped_and_counted(twin):
    for backend in twin.reference.backends.values():
        backend.present = False
    assert twin.send(segment()).action == DROP
    assert twin.kernel.reasons() == {"NONE_ALIVE": 1}
    assert twin.kernel.cell("by_vip", 0) == {"packets": 0, "bytes": 0, "new_flows": 0, "refused": 1}


def test_a_flow_that_must_move_goes_even_to_a_node_that_drains(three):
    assert three.send(segment()).backend == 0
    three.reference.backends[0].present = False
    three.reference.backends[1].draining = True
    verdict = three.send(segment(ACK))
    assert (verdict.backend, verdict.reason) == (1, "MOVED")


def test_a_number_that_is_used_again_inherits_no_flows(three):
    three.send(segment())
    three.reference.backends[0].generation = 2
    assert three.send(segment(ACK)).reason == "MOVED"


def test_a_changed_ring_moves_no_flow_that_is_known(twin):
    before = {port: twin.send(segment(port=port)).backend for port in range(200)}
    carry_out(twin, "ring", 3)
    assert {port: twin.send(segment(ACK, port=port)).backend for port in range(200)} == before


def test_an_unknown_flow_goes_to_the_first_candidate_however_much_room_the_other_has(three):
    three.reference.backends[1].rooms = {1: (1 << 40, 1000.0)}
    verdict = three.send(segment(ACK))
    assert (verdict.backend, verdict.reason) == (0, "MIDSTREAM")


def test_fragments_of_one_pair_go_one_way_and_are_not_remembered(twin):
    went = {twin.send(datagram(port, fragment=part)).backend for port in range(9) for part in (MORE_FRAGMENTS, 185)}
    assert len(went) == 1
    assert twin.kernel.remembered() == 0


def test_a_sticky_client_keeps_its_node_over_ports_and_connections(twin):
    went = {twin.send(segment(flags, port, STICKY)).backend for port in range(50) for flags in (SYN, FIN | ACK)}
    assert len(went) == 1
    assert twin.send(datagram(1, STICKY)).backend == twin.send(datagram(2, STICKY, MORE_FRAGMENTS)).backend


def test_an_error_follows_the_flow_that_it_is_about(three):
    three.reference.backends[1].rooms = {1: (1, 1000.0)}
    assert three.send(segment()).backend == 1
    assert three.send(complaint(40000, VIP4)).backend == 1
    assert three.send(complaint(40001, VIP4)).backend == 0


def test_new_flows_are_counted_once_by_vip_and_node(three):
    for flags in (SYN, ACK, ACK, FIN | ACK):
        three.send(segment(flags))
    wanted = {"packets": 4, "bytes": 4 * len(segment()), "new_flows": 1, "refused": 0}
    assert three.kernel.cell("by_vip", 0) == wanted
    assert three.kernel.cell("by_node", 0) == wanted


@pytest.mark.parametrize("count", [60])
def test_new_flows_spread_evenly_when_nothing_is_known(twin, count):
    """Chi-square with 5 degrees of freedom: 20.5 is passed once in a thousand; the flows are always the same."""
    went = Counter(twin.send(segment(port=port)).backend for port in range(count * NODES))
    assert sum((went[node] - count) ** 2 / count for node in range(NODES)) < 20.5


def test_a_flood_of_new_flows_leaves_the_table_to_those_in_it(built):
    balancer = Balancer(sn_opens_per_s=16, sn_ready_age_ns=HOUR_NS, sn_mesh_age_ns=HOUR_NS)
    ring = pairs_of(0)
    ring[:, 1] = 1
    twin = fresh(balancer, ring=ring, nodes=2)
    twin.reference.backends[1].rooms = {1: (1, 1000.0)}
    twin.tell()
    # The window is of the kernel's own clock and of one CPU: the flood is far larger than what could slip through.
    for port in range(1, 2001):
        testrun.run(balancer.program, segment(port=port))
    reasons = balancer.reasons()
    remembered = balancer.remembered()
    assert reasons["BY_ROOM"] + reasons["UNRECORDED"] == 2000
    assert 0 < remembered <= reasons["BY_ROOM"] < 1000
    balancer.object.close()


def test_more_openings_than_the_table_holds_push_out_nobody_who_talks(built):
    """However many connections begin and never go on: no bound on them, a small table, and every one a fresh key."""
    balancer = Balancer(sn_opens_per_s=0, sn_ready_age_ns=HOUR_NS, sn_mesh_age_ns=HOUR_NS)
    twin = fresh(balancer)
    lives = {}
    for port in range(1, 65):
        lives[port] = twin.send(segment(port=port)).backend
        assert twin.send(segment(ACK, port=port)).reason == "KNOWN"
    for last in range(40):
        for port in range(1024, 1536):
            ends = (f"10.3.2.{last}", VIP4)
            syn = tcp(flags=SYN, source_port=port, ends=ends)
            testrun.run(balancer.program, ethernet(ipv4(syn, protocol=TCP, source=ends[0], destination=VIP4)))
    assert balancer.reasons()["BY_RING"] == 64 + 40 * 512 > 2 * TABLE
    for port, node in lives.items():
        told = twin.send(segment(ACK, port=port))
        assert (told.backend, told.reason) == (node, "KNOWN")
    balancer.object.close()


def test_a_connection_enters_the_table_with_its_second_packet(twin):
    twin.send(segment())
    assert twin.kernel.object.map("sn_lb_conns").dump()[0].size == 0
    twin.send(segment())
    assert twin.kernel.object.map("sn_lb_conns").dump()[0].size == 0, "the client only says it again"
    assert twin.send(segment(ACK)).reason == "KNOWN"
    assert twin.kernel.object.map("sn_lb_conns").dump()[0].size == twin.kernel.remembered() == 1


def test_an_opening_whose_place_another_took_is_met_in_the_middle(twin):
    """Its node knows it."""
    twin.send(segment())
    places = twin.kernel.views["openings"]
    (place,) = (places["key"]["protocol"] != 0).nonzero()[0]
    places["key"]["source_port"][place] += 1
    del twin.reference.conns[next(iter(twin.reference.conns))]
    assert twin.send(segment(ACK)).reason == "MIDSTREAM"


def answer(backend, source, *, kind=probes.ANSWER, sent_ns=1):
    body = struct.pack("!IBBHIIQ", probes.MAGIC, probes.VERSION, kind, backend, 4711, 0, sent_ns)
    ends = (source, "203.0.113.254")
    return ethernet(
        ipv4(udp(body, source_port=probes.PORT, destination_port=33000, ends=ends), source=source, destination=ends[1])
    )


def test_an_answer_to_a_probe_is_noted_and_goes_no_further(twin):
    ran = testrun.run(twin.kernel.program, answer(2, "203.0.113.3"))
    seen = twin.kernel.views["seen"][2]
    assert ran.action == DROP
    assert twin.kernel.reasons() == {"PROBE": 1}
    assert (int(seen["answers"]), int(seen["seq"])) == (1, 4711)
    assert 0 < int(seen["rtt_ns"]) == int(seen["last_seen_ns"]) - 1


def test_an_answer_is_timed_when_it_comes_and_not_by_the_packets_before(twin):
    """Whose clock is read but once in a jiffy."""
    for _ in range(50):
        testrun.run(twin.kernel.program, segment())
        before_ns = time.monotonic_ns()
        testrun.run(twin.kernel.program, answer(2, "203.0.113.3"))
        assert int(twin.kernel.views["seen"]["last_seen_ns"][2]) >= before_ns


def test_the_packets_clock_goes_on(twin):
    twin.tell()
    seen, deadline = set(), time.monotonic() + 60
    while len(seen) < 3 and time.monotonic() < deadline:
        before_ns = time.monotonic_ns()
        testrun.run(twin.kernel.program, segment())
        told_ns = int(twin.kernel.views["openings"]["conn"]["last_ns"].max())
        assert told_ns <= time.monotonic_ns()
        seen |= {told_ns} if told_ns >= before_ns else set()
    assert len(seen) == 3


def test_more_addresses_than_a_cpu_keeps_at_hand_are_served(twin):
    ring = RINGS[None]
    keys = [(f"198.51.{third}.{last}", port, TCP) for third in (7, 8) for last in range(30) for port in (GOLD, 443)]
    for key in keys:
        twin.vip(*key, Vip(ring))
    for flags in (SYN, ACK, ACK):
        for address, port, _ in keys:
            ends = ("192.0.2.7", address)
            sent = tcp(b"x", flags=flags, destination_port=port, ends=ends)
            assert twin.send(ethernet(ipv4(sent, protocol=TCP, destination=address))).action == TX
    served = [twin.kernel.cell("by_vip", twin.index_of(key))["packets"] for key in keys]
    assert served == [3] * len(keys)


def test_what_changes_about_an_address_holds_for_its_next_packet(three):
    """However well this CPU knows it."""
    assert three.send(segment(port=1)).backend == 0
    reversed_ring = pairs_of(1)
    three.vip(VIP4, 80, TCP, Vip(reversed_ring))
    assert three.send(segment(port=2)).backend == 1
    three.withdraw(VIP4, 80, TCP)
    assert three.send(segment(ACK, port=1)).reason == "NO_VIP"
    three.vip(VIP4, 80, TCP, Vip(reversed_ring, sticky=True))
    assert [three.send(segment(port=port)).reason for port in (3, 4)] == ["BY_RING", "KNOWN"]


def test_changes_that_a_predecessor_never_told_are_found_when_the_next_one_begins(three):
    """One of the release before, or one that was killed in between."""
    assert three.send(segment(port=1)).action == TX
    vips = three.kernel.object.map("sn_lb_vips")
    for key in list(vips.keys()):
        vips.delete(key)
    Tables(three.kernel.object)
    assert testrun.run(three.kernel.program, segment(port=1)).action == PASS


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(answer(2, "203.0.113.4"), id="from another backend"),
        pytest.param(answer(900, "203.0.113.3"), id="for no backend"),
        pytest.param(answer(65535, "203.0.113.3"), id="for a number beyond the table"),
        pytest.param(answer(2, "203.0.113.3", kind=probes.ASK), id="a question"),
    ],
)
def test_nobody_speaks_for_another_node(twin, frame):
    assert testrun.run(twin.kernel.program, frame).action == PASS
    assert not twin.kernel.views["seen"]["answers"].any()


def test_rings_run_out_with_a_sentence(twin):
    for port in range(1000, 1007):
        twin.vip(VIP4, port, TCP, Vip(RINGS[None].copy()))
    with pytest.raises(Invalid, match="share one, or load more"):
        twin.vip(VIP4, 1007, TCP, Vip(RINGS[None].copy()))
