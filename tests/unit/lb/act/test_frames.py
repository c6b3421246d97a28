"""Frames that the balancer itself puts on the wire: the gratuitous ones and the probe, against sums from scratch."""

import ipaddress
import struct

from sentinel_lb.act.announce.segment import gratuitous
from sentinel_lb.act.hands import source_of
from sentinel_lb.act.prober import Target, Wire, inner
from sentinel_lb.ways import Uplink
from support.frames import checksum, ipv4_sum_holds, pseudo_header

MAC = bytes.fromhex("02aabbccdd01")
WIRE = Wire(magic=0x534E5031, version=1, ask=1, probe_port=18471, tunnel_port=18472)


def test_a_gratuitous_arp_is_a_request_for_oneself_to_everybody():
    frame = gratuitous("198.51.100.9", MAC)
    address = ipaddress.ip_address("198.51.100.9").packed
    assert frame[:14] == b"\xff" * 6 + MAC + b"\x08\x06"
    assert frame[14:22].hex() == "0001080006040001"
    assert frame[22:42] == MAC + address + bytes(6) + address


def test_an_unasked_advertisement_overrides_what_neighbours_knew():
    frame = gratuitous("2001:db8::9", MAC)
    message = frame[54:]
    assert frame[:14] == bytes.fromhex("333300000001") + MAC + b"\x86\xdd"
    assert frame[21] == 255, "hops, or nobody believes it"
    assert message[0] == 136
    assert struct.unpack("!I", message[4:8])[0] == 0x20000000
    assert message[8:24] == ipaddress.ip_address("2001:db8::9").packed
    assert message[24:] == b"\x02\x01" + MAC
    assert checksum(pseudo_header("2001:db8::9", "ff02::1", 58, len(message)) + message) == 0


def test_a_probe_over_ipv4_is_a_datagram_with_its_backends_number():
    packet = inner(Target(7, "203.0.113.2", "10.9.0.1", "IP"), WIRE)
    assert ipv4_sum_holds(bytes(14) + packet)
    assert packet[12:20] == bytes([10, 9, 0, 1, 203, 0, 113, 2])
    assert packet[22:24] == struct.pack("!H", 18471)
    assert packet[28:36] == struct.pack("!IBBH", 0x534E5031, 1, 1, 7)
    assert len(packet) == 20 + 8 + 24


def test_a_probe_over_ipv6_carries_no_sum_as_tunnels_may():
    packet = inner(Target(7, "2001:db8::2", "2001:db8::1", "IP"), WIRE)
    assert packet[4:8] == struct.pack("!HBB", 32, 17, 64)
    assert packet[46:48] == b"\0\0"
    assert len(packet) == 40 + 8 + 24


def test_tunnels_come_from_the_interface_or_vary_over_the_ranges_that_are_given():
    uplink = Uplink(address4="10.78.0.10", address6="fd78::a")
    own = source_of((), uplink)
    assert (str(own.address4), own.vary4, str(own.address6), own.vary6) == ("10.78.0.10", 0, "fd78::a", 0)
    spread = source_of(("10.9.0.0/20", "2001:db8::/64"), uplink)
    assert (str(spread.address4), spread.vary4) == ("10.9.0.0", 0xFFF)
    assert (str(spread.address6), spread.vary6) == ("2001:db8::", 0xFFFFFFFF)
