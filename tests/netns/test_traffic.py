"""Traffic by real sockets: bulk, requests on kept and on new connections, and a line that delays what passes it."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest

from sentinel_api.errors import Invalid
from sentinel_lab.delay import Way, delayed
from sentinel_lab.topology import NODE, RECEIVER, RECEIVER_ADDRESS, SENDER, SINGLE_BOTTLENECK, built
from sentinel_lab.traffic.orders import SendOrder, Stream
from sentinel_lab.traffic.run import exchanged, ready
from sentinel_lab.traffic.tcp_client import connected
from sentinel_lab.traffic.tcp_orders import TcpOrder
from support.netns import need_data_plane

NODE_ADDRESS = "10.77.1.1"
WAY = Way("10.77.2.0/24", "10.77.1.1", "out")


@pytest.fixture(scope="module")
def spaces():
    need_data_plane()
    with built(SINGLE_BOTTLENECK) as made:
        yield made


def order(spaces, kind) -> TcpOrder:
    return TcpOrder(namespace=spaces[SENDER].name, address=RECEIVER_ADDRESS, port=9003, kind=kind, seconds=1.0)


@pytest.mark.parametrize("kind", ["requests", "short"])
def test_every_request_that_is_due_is_asked_and_answered(spaces, kind):
    sent, served = exchanged(order(spaces, kind), spaces[RECEIVER].name)
    assert sent.due == sent.answered > 10
    assert sent.failed == 0
    assert sum(served.bytes_by_connection) == sent.due * 10_000
    assert len(served.bytes_by_connection) == (sent.due if kind == "short" else 4)
    assert min(sent.millis) > 0


def test_one_receiver_takes_what_comes_to_the_service_at_another_backend(spaces, tmp_path):
    stream = Stream(port=9001, pattern="steady", packet_bytes=100, scale=0.2)
    send = SendOrder(namespace=spaces[SENDER].name, address=NODE_ADDRESS, seconds=0.2, streams=(stream,))
    with ready(send, spaces[RECEIVER].name, tmp_path, beside=[spaces[NODE].name]) as traffic:
        traffic.start()
        outcome = traffic.outcome()
    assert outcome.sent[0].sent == 40
    assert 0 < outcome.received.packets <= 40  # the last may still be on their way


def test_a_client_waits_for_a_server_that_listens_later():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        asked = TcpOrder(namespace="", address="127.0.0.1", port=server.getsockname()[1], kind="bulk", seconds=1.0)
        listens = threading.Timer(0.2, server.listen)
        listens.start()
        connected(asked).close()
        listens.join()


def test_bulk_sends_as_long_as_it_was_told_and_all_of_it_arrives(spaces):
    sent, served = exchanged(order(spaces, "bulk"), spaces[RECEIVER].name)
    assert sum(served.bytes_by_connection) == sum(sent.bytes_by_connection) > 1_000_000
    assert min(served.bytes_by_connection) > 0


def test_a_delay_line_delays_what_passes_it_and_is_gone_afterwards(spaces, tmp_path):
    before = spaces[SENDER].ip("route")
    stream = Stream(port=9001, pattern="steady", packet_bytes=100, scale=0.2)
    send = SendOrder(namespace=spaces[SENDER].name, address=RECEIVER_ADDRESS, seconds=0.5, streams=(stream,))
    with delayed(spaces[SENDER], WAY, 50.0), ready(send, spaces[RECEIVER].name, tmp_path) as traffic:
        traffic.start()
        outcome = traffic.outcome()
    arrivals = outcome.to(9001)
    assert arrivals.size > 0
    assert np.min(arrivals["got_ns"] - arrivals["sent_ns"]) >= 50_000_000
    assert spaces[SENDER].ip("route") == before


@pytest.mark.parametrize("millis", [0.0, -1.0, 1e9])
def test_a_delay_that_cannot_be_made_is_refused(spaces, millis):
    with pytest.raises(Invalid, match="delay"), delayed(spaces[SENDER], WAY, millis):
        pass
