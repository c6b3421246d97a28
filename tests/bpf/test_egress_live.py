"""The way out on a real interface: packets that are not in one piece are read, and no others are put together."""

import socket
import struct
import subprocess

import pytest

from sentinel_bpf import attach
from sentinel_bpf.attach import Hook
from support.frames import ethernet, ipv4, udp

SOL_PACKET, PACKET_VNET_HDR = 263, 15
ETHERNET = 14
TCP_HEADERS = ETHERNET + 20 + 20 + 40  # with all the options there may be
DATA = bytes(10_000)  # fits the socket buffers: one thread sends and receives
PATIENCE_S = 60.0


@pytest.fixture
def out(load_plane):
    return load_plane("sn_egress")


def talk() -> None:
    """TCP over the loopback, which sends what it keeps for a retransmission as a clone of the same bytes."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=PATIENCE_S) as client,
        server.accept()[0] as peer,
    ):
        peer.settimeout(PATIENCE_S)
        for _ in range(20):
            client.sendall(DATA)
            left = len(DATA)
            while left:
                left -= len(peer.recv(left))


def test_tcps_packets_are_read_where_they_lie(load, out, namespace, bpffs):
    """Asked for more than its headers, the kernel copies them and some of the data, for each packet."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    pieces = load("test/linear")
    attach.attach(out.program, "lo", Hook.TCX_EGRESS, bpffs / "ours")
    attach.attach(pieces.object.program("sn_linear"), "lo", Hook.TCX_INGRESS, bpffs / "next")
    talk()
    found = pieces.view("sn_pieces")[0]
    assert found["packets"] > 0
    assert found["most_bytes"] <= TCP_HEADERS
    assert set(out.reasons()) == {"EGRESS_PASSED"}


def test_headers_that_lie_in_pieces_are_put_together(out, veth, bpffs):
    """Of a frame longer than a page a packet socket puts only so much in the first piece as it is told to."""
    for end in veth:
        subprocess.run(["ip", "link", "set", end, "mtu", "9000"], check=True)
    attach.attach(out.program, veth[0], Hook.TCX_EGRESS, bpffs / "ours")
    frame = ethernet(ipv4(udp(bytes(6000))))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((veth[0], 0))
        sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        sender.send(struct.pack("=BBHHHH", 0, 0, ETHERNET, 0, 0, 0) + frame)
    assert out.reasons() == {"EGRESS_PASSED": 1}
    assert out.out_cell()["bytes"] == len(frame)
