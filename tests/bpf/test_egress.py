"""On the way out: the class of the flow that is answered, marks by backlog, a bounded rate; the rest is for others."""

import time

import pytest

from sentinel_bpf import layout, testrun
from sentinel_bpf.agent import load_agent
from sentinel_bpf.ruleset import RuleSet
from sentinel_core.rules import Rule, address_range
from support.data_plane.agent import HOUR_NS, OBJECT
from support.data_plane.corpus import FOUND, REFUSED
from support.frames import (
    ACK,
    CLIENT4,
    ETH_ARP,
    SERVER4,
    answer4,
    ethernet,
    ipv4,
    ipv4_sum_holds,
    ipv6,
    tcp4,
    timestamps,
    udp,
    udp4,
    udp6,
)

NEXT, SHOT = -1, 2
FRAME = udp4(bytes(100))
EF = 0xB8
# The kernel makes no socket buffer for a test from less than an IP header.
TRIABLE = [name for name, (frame, _) in REFUSED.items() if len(frame) > 54]


@pytest.fixture
def out(load_plane):
    return load_plane("sn_egress")


@pytest.fixture
def queued(out):
    """Our queue is the root of the device that test frames leave through, which is the loopback."""
    out.object.map("sn_queue_place").put(0, ifindex=1)
    yield out
    out.object.map("sn_queue_place").put(0)


def ask(plane, class_id: int = 0, *, lease_ns: int = HOUR_NS, **fields: int) -> None:
    plane.object.map("sn_qos").put(class_id, valid_until_ns=time.monotonic_ns() + lease_ns, **fields)


@pytest.mark.parametrize("name", list(FOUND))
def test_what_is_understood_goes_on_as_it_came_and_is_counted(out, name):
    frame = FOUND[name]
    assert out.send(frame) == (NEXT, frame)
    assert out.reasons() == {"EGRESS_PASSED": 1}
    cell = out.out_cell()
    assert (cell["packets"], cell["bytes"]) == (1, len(frame))


@pytest.mark.parametrize("lease_ns", [HOUR_NS, 1])
def test_where_the_queue_is_ours_a_packet_is_led_to_its_class_lease_or_not(queued, lease_ns):
    queued.rules.replace([Rule(6, source=address_range("192.0.2.0/24"), destination_ports=(80, 80))])
    ask(queued, 6, lease_ns=lease_ns)
    handles = layout.constants(OBJECT, "sn_queue_const")
    first = handles["SN_QUEUE_MAJOR"] << 16 | handles["SN_QUEUE_MINOR"]
    for frame, class_id in ((answer4(), 6), (tcp4(), 0), (ethernet(bytes(46), ETH_ARP), 0)):
        context = testrun.run_tc(queued.program, frame, priority=3).context
        assert (int(context["priority"]), int(context["cb"][1])) == (first + class_id, class_id)


def test_where_another_queue_stands_the_priority_is_left_to_those_who_set_it(out):
    context = testrun.run_tc(out.program, FRAME, priority=3).context
    assert (int(context["priority"]), list(context["cb"])) == (3, [0] * 5)


@pytest.mark.parametrize("name", TRIABLE)
def test_what_is_not_understood_goes_on_too(out, name):
    frame = REFUSED[name][0]
    ask(out, rate_Bps=1, burst_bytes=0)
    assert out.send(frame) == (NEXT, frame)
    assert out.reasons() == {"EGRESS_UNKNOWN": 1}


def test_an_answer_has_the_class_of_what_it_answers_by_the_rules(out):
    """Rules are written for what comes in: from the client, to the service's port."""
    client = Rule(6, source=address_range("192.0.2.0/24"), destination_ports=(80, 80))
    out.rules.replace([client])
    out.send(answer4())
    out.send(tcp4())
    assert (out.out_cell(6)["packets"], out.out_cell(0)["packets"]) == (1, 1)


MANY = [Rule(1, source=address_range(f"203.0.113.{each}/32")) for each in range(20)]


def rewrite(plane, class_id: int) -> None:
    """Every rule in force, behind the kernel's back: who asks them again gets this class."""
    plane.object.map("sn_rules").view(writable=True)["class_id"] = class_id


def test_what_answers_no_known_flow_asks_the_rules_once(out):
    """Of many rules, that is; a thousand of them would cost each packet microseconds."""
    out.rules.replace([*MANY, Rule(6, destination_ports=(80, 80)), Rule(7)])
    out.send(answer4())
    rewrite(out, 9)
    out.send(answer4(), repeat=4)
    out.send(answer4(tos=EF))
    assert (out.out_cell(6)["packets"], out.out_cell(9)["packets"]) == (5, 1), "another DSCP is another question"
    assert out.flows() == [], "what goes out is no flow that came in"
    out.rules.replace([*MANY, Rule(8, destination_ports=(80, 80))])
    out.send(answer4(), repeat=3)
    assert out.out_cell(8)["packets"] == 3


def test_few_rules_are_asked_each_time(out):
    out.rules.replace([Rule(6, destination_ports=(80, 80))])
    out.send(answer4())
    assert len(out.object.map("sn_out_classes").dump()[0]) == 0


def test_an_answer_keeps_the_flows_dscp_also_when_the_rules_are_new(built):
    """Until its flow speaks again, and by many rules or few."""
    with load_agent(OBJECT, max_entries={"sn_flows": 1024}, programs=frozenset({"sn_ingress", "sn_egress"})) as both:
        rules = RuleSet(both)
        testrun.run(both.program("sn_ingress"), udp4(tos=46 << 2))
        back = udp(b"answer", source_port=53, destination_port=40000, ends=(SERVER4, CLIENT4))
        for others in ([], MANY):
            rules.replace([*others, Rule(5, dscp=46)])
            testrun.run_tc(both.program("sn_egress"), ethernet(ipv4(back, source=SERVER4, destination=CLIENT4)))
        assert int(both.map("sn_out_cells").view()["packets"].reshape(-1, 16)[:, 5].sum()) == 2


def test_an_answer_has_the_class_of_its_flow_whatever_its_own_dscp(built):
    with load_agent(OBJECT, max_entries={"sn_flows": 1024}, programs=frozenset({"sn_ingress", "sn_egress"})) as both:
        RuleSet(both).replace([Rule(5, dscp=46)])
        back = udp(b"answer", source_port=53, destination_port=40000, ends=(SERVER4, CLIENT4))
        testrun.run(both.program("sn_ingress"), udp4(tos=46 << 2))
        testrun.run_tc(both.program("sn_egress"), ethernet(ipv4(back, source=SERVER4, destination=CLIENT4)))
        assert int(both.map("sn_out_cells").view()["packets"].reshape(-1, 16)[:, 5].sum()) == 1


def test_an_answer_has_the_class_and_completes_the_round_trip_of_the_flow_it_answers(built):
    """Both programs of one object, as the agent loads it."""
    with load_agent(OBJECT, max_entries={"sn_flows": 1024}, programs=frozenset({"sn_ingress", "sn_egress"})) as both:
        RuleSet(both).replace([Rule(3, destination_ports=(80, 80))])
        testrun.run(both.program("sn_ingress"), tcp4(options=timestamps(10, 0)))
        start = time.monotonic_ns()
        testrun.run_tc(both.program("sn_egress"), answer4(options=timestamps(900, 10)))
        slept = time.monotonic_ns()
        time.sleep(0.01)
        slept_us = (time.monotonic_ns() - slept) // 1000
        testrun.run(both.program("sn_ingress"), tcp4(flags=ACK, options=timestamps(11, 900)))
        most_us = (time.monotonic_ns() - start) // 1000
        _, flows = both.map("sn_flows").dump()
        assert len(flows) == 1, "the answer is no flow of its own"
        assert slept_us <= flows[0]["rtt_us"] <= most_us
        assert int(both.map("sn_out_cells").view()["packets"].reshape(-1, 16)[:, 3].sum()) == 1


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        pytest.param(udp4(tos=1), udp4(tos=3), id="ECT(1)"),
        pytest.param(udp4(tos=46 << 2 | 2), udp4(tos=46 << 2 | 3), id="ECT(0) with a DSCP"),
        pytest.param(udp6(traffic_class=2), udp6(traffic_class=3), id="IPv6"),
        pytest.param(
            ethernet(ipv4(udp(b"x"), tos=2, options=b"\1\1\1\1" * 10)),
            ethernet(ipv4(udp(b"x"), tos=3, options=b"\1\1\1\1" * 10)),
            id="IPv4 options",
        ),
        pytest.param(
            ethernet(ipv6(udp(ends=None), traffic_class=EF | 1)),
            ethernet(ipv6(udp(ends=None), traffic_class=EF | 3)),
            id="EF",
        ),
    ],
)
def test_a_standing_backlog_marks_what_can_be_marked(out, sent, wanted):
    ask(out, mark_above_bytes=5000)
    out.object.map("sn_backlog").put(0, backlog_bytes=4999)
    assert out.send(sent) == (NEXT, sent)
    out.object.map("sn_backlog").put(0, backlog_bytes=5000)
    assert out.send(sent) == (NEXT, wanted)
    assert wanted[14] >> 4 == 6 or ipv4_sum_holds(wanted)
    assert out.reasons() == {"EGRESS_PASSED": 1, "EGRESS_MARKED": 1}
    assert out.out_cell()["marks"] == 1


@pytest.mark.parametrize("frame", [FRAME, udp4(tos=3)], ids=["not ECN-capable", "marked before"])
def test_what_cannot_be_marked_goes_on(out, frame):
    ask(out, mark_above_bytes=1)
    out.object.map("sn_backlog").put(0, backlog_bytes=1 << 30)
    assert out.send(frame) == (NEXT, frame)


def test_a_class_may_burst_and_then_keeps_its_rate(out):
    ask(out, rate_Bps=10, burst_bytes=3 * len(FRAME) - 50)
    assert [out.send(FRAME)[0] for _ in range(5)] == [NEXT] * 3 + [SHOT] * 2
    cell = out.out_cell()
    assert (cell["packets"], cell["drops"], cell["drop_bytes"]) == (5, 2, 2 * len(FRAME))
    assert out.reasons() == {"EGRESS_PASSED": 3, "EGRESS_OVER_RATE": 2}


def test_the_bucket_fills_again(out):
    """At a frame in ten seconds; the ten seconds are told by the state, not waited for."""
    ask(out, rate_Bps=len(FRAME) // 10, burst_bytes=1)
    assert [out.send(FRAME)[0] for _ in range(2)] == [NEXT, SHOT]
    out.object.map("sn_buckets").view(writable=True)["empty_tick"][0] -= 11 * 64 * 10**9
    assert [out.send(FRAME)[0] for _ in range(2)] == [NEXT, SHOT]


def test_each_of_the_sixteen_classes_has_its_own_rate(out):
    out.rules.replace([Rule(c, dscp=c) for c in range(1, 16)])
    for class_id in range(16):
        if class_id % 2:
            ask(out, class_id, rate_Bps=1, burst_bytes=0)
    verdicts = [out.send(answered)[0] for answered in (udp4(tos=c << 2) for c in range(16))]
    assert verdicts == [NEXT, SHOT] * 8


def test_past_its_lease_nothing_is_asked(out):
    ask(out, lease_ns=-1, rate_Bps=1, burst_bytes=0, mark_above_bytes=1)
    out.object.map("sn_backlog").put(0, backlog_bytes=1 << 30)
    frame = udp4(tos=2)
    assert out.send(frame) == (NEXT, frame)


def test_arp_is_nobodys_business(out):
    frame = ethernet(bytes(28), ETH_ARP)
    assert out.send(frame) == (NEXT, frame)
