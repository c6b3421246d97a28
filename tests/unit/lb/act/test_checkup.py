"""The question as a client would put it, and the answer as it is read: byte by byte."""

import ipaddress

import pytest

from sentinel_lb.act.checkup import PORT, RST, SYN, Check, answer_in, segment
from sentinel_lb.act.prober import Target
from support.frames import ACK, TCP, ipv4, ipv6, tcp

OURS4, OURS6, VIP4, VIP6 = "192.0.2.10", "2001:db8::10", "198.51.100.9", "2001:db8:1::9"
NODE = Target(1, "203.0.113.1", "192.0.2.10", "IP")


@pytest.mark.parametrize(("ours", "vip", "made"), [(OURS4, VIP4, ipv4), (OURS6, VIP6, ipv6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("flags", [SYN, RST])
def test_a_question_is_a_whole_packet_with_sums_that_hold(ours, vip, made, flags):
    sent = segment(Check(vip, 80, ours, (NODE,)), flags, 4711)
    at = 20 if made is ipv4 else 40
    wanted = bytearray(tcp(source_port=PORT, destination_port=80, flags=flags, ends=(ours, vip)))
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
    said = tcp(source_port=80, destination_port=PORT, flags=SYN | ACK, ends=(VIP4, OURS4))
    found = answer_in(ipv4(said, protocol=TCP, source=VIP4, destination=OURS4, options=options))
    assert found is not None
    assert (found.address, found.port, found.flags, found.acknowledged) == (VIP4, 80, SYN | ACK, 2000)
    said = tcp(source_port=80, destination_port=PORT, flags=RST, ends=(VIP6, OURS6))
    found = answer_in(ipv6(said, protocol=TCP, source=VIP6, destination=OURS6))
    assert found is not None
    assert (found.address, found.port, found.flags) == (VIP6, 80, RST)


def test_half_an_answer_is_none():
    said = tcp(source_port=80, destination_port=PORT, ends=(VIP4, OURS4))
    assert answer_in(ipv4(said, protocol=TCP, source=VIP4, destination=OURS4)[:39]) is None
