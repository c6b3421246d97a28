"""The question as a client would put it, and the answer as it is read: byte by byte."""

import ipaddress
import itertools
import socket

import pytest

from sentinel_lb.act import checkup
from sentinel_lb.act.checkup import FIRST_PORT, RST, SYN, TURNS, Check, Checkup, answer_in, segment
from sentinel_lb.act.prober import Target
from sentinel_lb.decide.checkup import Checked, Health
from support.frames import ACK, TCP, ipv4, ipv6, tcp

OURS4, OURS6, VIP4, VIP6 = "192.0.2.10", "2001:db8::10", "198.51.100.9", "2001:db8:1::9"
NODE = Target(1, "203.0.113.1", "192.0.2.10", "IP")


@pytest.mark.parametrize(("ours", "vip", "made"), [(OURS4, VIP4, ipv4), (OURS6, VIP6, ipv6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("flags", [SYN, RST])
def test_a_question_is_a_whole_packet_with_sums_that_hold(ours, vip, made, flags):
    sent = segment(Check(vip, 80, ours, (NODE,)), flags, 4711, FIRST_PORT)
    at = 20 if made is ipv4 else 40
    wanted = bytearray(tcp(source_port=FIRST_PORT, destination_port=80, flags=flags, ends=(ours, vip)))
    assert sent[at : at + 4] == wanted[:4]
    assert (sent[at + 4 : at + 8], sent[at + 13]) == ((4711).to_bytes(4, "big"), flags)
    ends = ipaddress.ip_address(ours).packed + ipaddress.ip_address(vip).packed
    assert words(ends + len(sent[at:]).to_bytes(4, "big") + TCP.to_bytes(4, "big") + sent[at:]) == 0xFFFF
    if made is ipv4:
        assert words(sent[:20]) == 0xFFFF
    assert ends in sent[:at]


def words(raw):
    total = sum(int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("options", [b"", b"\1\1\1\1"])
def test_an_answer_is_read_in_both_families(options):
    said = tcp(source_port=80, destination_port=FIRST_PORT, flags=SYN | ACK, ends=(VIP4, OURS4))
    found = answer_in(ipv4(said, protocol=TCP, source=VIP4, destination=OURS4, options=options))
    assert found is not None
    assert (found.address, found.port, found.flags, found.acknowledged) == (VIP4, 80, SYN | ACK, 2000)
    said = tcp(source_port=80, destination_port=FIRST_PORT, flags=RST, ends=(VIP6, OURS6))
    found = answer_in(ipv6(said, protocol=TCP, source=VIP6, destination=OURS6))
    assert found is not None
    assert (found.address, found.port, found.flags) == (VIP6, 80, RST)


def test_half_an_answer_is_none():
    said = tcp(source_port=80, destination_port=FIRST_PORT, ends=(VIP4, OURS4))
    assert answer_in(ipv4(said, protocol=TCP, source=VIP4, destination=OURS4)[:39]) is None


WELL, DEAF = Target(1, "203.0.113.1", "192.0.2.10", "IP"), Target(2, "203.0.113.2", "192.0.2.10", "IP")
ROUNDS = 5


@pytest.fixture
def asking(monkeypatch):
    """A checkup of one service by two ways, and what it sent: the way, and the packet."""
    sent = []
    monkeypatch.setattr(Checkup, "_send", lambda _, way, packet: sent.append((way, packet)))
    seconds = itertools.count()
    made = Checkup("lo", 0, clock=lambda: float(next(seconds)))
    made.aim((Check(VIP4, 80, OURS4, (WELL, DEAF)),))
    return made, sent


def answer_to(question, *, flags=SYN | ACK, by=VIP4):
    """What the service says to such a packet."""
    port, sequence = (int.from_bytes(question[at : at + size], "big") for at, size in ((20, 2), (24, 4)))
    said = bytearray(tcp(source_port=80, destination_port=port, flags=flags, ends=(by, OURS4)))
    said[8:12] = ((sequence + 1) & 0xFFFFFFFF).to_bytes(4, "big")
    return ipv4(bytes(said), protocol=TCP, source=by, destination=OURS4)


def test_each_way_is_asked_from_a_port_of_its_own_and_the_silent_one_is_avoided(asking):
    made, sent = asking
    for _ in range(ROUNDS):
        sent.clear()
        made._ask()
        (well, question), (deaf, other) = sent
        assert (well, deaf, question[20:22] != other[20:22]) == (WELL, DEAF, True)
        made._hear(answer_to(question))
        assert (sent[-1][0], sent[-1][1][33]) == (WELL, RST), "nothing follows, and it is told so"
    assert made.avoided == {(VIP4, 80): frozenset({DEAF.number})}


def test_a_way_is_asked_from_another_port_each_time_for_longer_than_a_node_remembers_the_question(asking):
    """Two minutes, while nothing came back: it would send the next question where it sent the first."""
    made, sent = asking
    for _ in range(130):
        made._ask()
    for way in (WELL, DEAF):
        ports = [packet[20:22] for asked, packet in sent if asked is way]
        assert len(set(ports)) == len(ports) == 130


def test_a_word_on_what_was_never_asked_counts_for_nothing(asking):
    made, sent = asking
    for _ in range(ROUNDS):
        sent.clear()
        made._ask()
        (_, question), (_, other) = sent
        made._hear(answer_to(question))
        long_ago = (int.from_bytes(other[24:26], "big") - 100) % TURNS
        made._hear(answer_to(other[:24] + long_ago.to_bytes(2, "big") + other[26:]))
        made._hear(answer_to(other, by="198.51.100.10"))
    assert made.avoided == {(VIP4, 80): frozenset({DEAF.number})}


def test_where_there_are_more_ways_than_questions_they_take_turns(asking, monkeypatch):
    monkeypatch.setattr(checkup, "MOST", 2)
    made, sent = asking
    many = tuple(Target(number, f"203.0.113.{number}", "192.0.2.10", "IP") for number in range(1, 8))
    made.aim((Check(VIP4, 80, OURS4, many),))
    for _ in range(7):
        made._ask()
    assert {way for way, _ in sent} == set(many)
    assert len(sent) <= 14
    made._checked.clear()
    for _ in range(20):
        made._note((VIP4, 80), DEAF.number, Checked(Health.ANSWERS, failures=1))
        sent.clear()
        made._ask()
        assert DEAF in {way for way, _ in sent}, "who is in doubt is asked each time"
        for way, packet in list(sent):
            if way != DEAF:
                made._hear(answer_to(packet))


def test_many_ways_are_asked_a_few_at_once_and_those_to_one_service_not_together(asking):
    made, sent = asking
    ways = tuple(Target(number, f"203.0.113.{number}", "192.0.2.10", "IP") for number in range(20))
    made.aim(tuple(Check(VIP4, port, OURS4, ways) for port in (80, 81, 82)))
    made.clock = lambda: 100.0
    due = [made._ask() for _ in range(6)]
    assert len(sent) == 60 == len({(way, packet[22:24]) for way, packet in sent})
    assert due[:-1] == [100.0 + checkup.PAUSE_S] * 5
    assert due[-1] == pytest.approx(100.0 + checkup.PERIOD_S - 5 * checkup.PAUSE_S), "each a period later"
    assert [packet[22:24] for _, packet in sent[:3]] == [port.to_bytes(2, "big") for port in (80, 81, 82)]


def test_who_is_in_doubt_is_asked_last_and_each_of_many_has_its_turn(asking, monkeypatch):
    monkeypatch.setattr(checkup, "MOST", 4)
    made, _ = asking
    ways = tuple(Target(number, f"203.0.113.{number}", "192.0.2.10", "IP") for number in range(8))
    made.aim((Check(VIP4, 80, OURS4, ways),))
    for number in range(5):
        made._note((VIP4, 80), number, Checked(Health.ANSWERS, failures=1))
    last = []
    for made._turn in range(5):
        *_, one, other = made._round()
        last.append({one[1].number, other[1].number})
    assert all(each <= set(range(5)) for each in last)
    assert set().union(*last) == set(range(5))


def test_a_successor_asks_from_other_ports_than_its_predecessor(asking):
    """A node that remembers where it sent the questions of the one would send those of the other there, too."""
    made, sent = asking
    successor = Checkup("lo", 0, clock=made.clock)
    successor.aim(made._checks)
    for each in (made, made, successor, successor):
        each._ask()
    ports = [packet[20:22] for way, packet in sent if way is DEAF]
    assert len(set(ports)) == len(ports) == 4


def test_who_had_no_processor_hears_all_that_waits_before_it_asks_again(asking):
    made, sent = asking
    made._ask()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        for _, question in list(sent):
            theirs.send(answer_to(question))
        made._hear_all(ours)
    made._ask()
    assert not [each for each in made._checked[VIP4, 80].values() if each.failures]
