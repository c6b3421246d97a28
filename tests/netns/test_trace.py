"""What `sentinel trace` tells is what happened: real probes, a real queue, packets counted by their sender."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from sentinel_api.errors import Unsupported
from sentinel_cli.trace import machine
from sentinel_lab.namespaces import Namespace
from support.netns import need_data_plane

SENT, PORT = 300, 4000
QUEUE_BYTES = 20_000


@pytest.fixture(scope="module", autouse=True)
def _able() -> None:
    need_data_plane()
    try:
        machine.bcc()
        machine.headers()
        machine.kernel("drops")
    except Unsupported as lacking:
        pytest.skip(str(lacking))


@pytest.fixture
def joined():
    """Two namespaces with a link between them; the first sends, through a queue that is much too small."""
    sender, receiver = (Namespace(f"trace{end}", os.getpid()) for end in ("from", "to"))
    with ExitStack() as ends:
        for space in (sender, receiver):
            space.create()
            ends.callback(space.remove)
        sender.ip("link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", receiver.name)
        for space, device, address in ((sender, "va", "10.9.0.1/24"), (receiver, "vb", "10.9.0.2/24")):
            space.ip("addr", "add", address, "dev", device)
            space.ip("link", "set", device, "up")
        yield sender


def limit(space: Namespace, *more: str) -> None:
    command = ["tc", "-n", space.name, "qdisc", "replace", "dev", "va", "root", "tbf", "rate", "8mbit", "burst", "4k"]
    subprocess.run([*command, "limit", str(QUEUE_BYTES), *more], check=True)


def flood(space: Namespace) -> None:
    with space.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(SENT):
            sender.sendto(b"x" * 1000, ("10.9.0.2", PORT))


def traced(space: Namespace, *words: str, during) -> list[dict]:
    argv = [sys.executable, "-m", "sentinel_cli", "trace", *words, "--seconds", "240", "--json"]
    with space.entered():
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("listening"), said
        during()
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return json.loads(told)["rows"]


@pytest.mark.slow
def test_packets_that_the_queue_refused_are_told_with_reason_and_flow(joined):
    limit(joined)
    rows = traced(joined, "drops", "--by", "flow", "--device", "va", "--port", str(PORT), during=lambda: flood(joined))
    assert rows
    assert {row["device"] for row in rows} == {"va"}
    assert all(row["flow"].endswith(f"> 10.9.0.2:{PORT}") and row["protocol"] == "udp" for row in rows)
    assert 0 < sum(row["packets"] for row in rows) < SENT
    assert all(row["place"] for row in rows)


@pytest.mark.slow
def test_the_time_in_the_queue_is_told_and_another_port_is_left_out(joined):
    limit(joined)
    rows = traced(joined, "sojourn", "--by", "flow", "--port", str(PORT), during=lambda: flood(joined))
    assert [row["flow"].partition(" > ")[2] for row in rows] == [f"10.9.0.2:{PORT}"]
    assert rows[0]["p99AtMostMicros"] >= 1000  # 20 kB at 8 Mbit/s wait for 20 ms
    assert traced(joined, "sojourn", "--by", "flow", "--port", "4001", during=lambda: flood(joined)) == []


@pytest.mark.slow
def test_who_asks_for_another_size_of_a_queue_is_named(joined):
    rows = traced(joined, "resizes", "--device", "va", during=lambda: limit(joined))
    assert [(row["who"], row["what"]) for row in rows] == [("tc", "queueing discipline set")]
