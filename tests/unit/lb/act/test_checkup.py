"""The question as a client would put it, and the answer as it is read: byte by byte."""

import ipaddress

import pytest

from sentinel_lb.act import checkup
from sentinel_lb.act.checkup import FIRST_PORT, RST, SYN, TURNS, Check, Checkup, answer_in, segment
from sentinel_lb.act.prober import Target
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
    made = Checkup("lo", 0)
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
    monkeypatch.setattr(checkup, "MOST", 1)
    made, sent = asking
    for _ in range(4):
        made._ask()
    assert {way for way, _ in sent} == {WELL, DEAF}
    assert len(sent) == 4
