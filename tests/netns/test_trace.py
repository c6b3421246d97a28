"""What `sentinel trace` tells is what happened: real probes, a real queue, packets counted by their sender."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sentinel_api.errors import Unsupported
from sentinel_cli.trace import machine
from sentinel_lab.namespaces import Namespace
from support.netns import need_data_plane

if TYPE_CHECKING:
    from collections.abc import Iterator

SENT, PORT = 300, 4000
PATIENCE_S = 300.0
QUEUE_BYTES = 20_000
STREAM = 1_000_000


PRIVATE = ("unshare", "--mount", "sh", "-c", 'mount -t tracefs none /sys/kernel/tracing && exec "$0" "$@"')
CACHED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sentinel-buffers/kernels"


@pytest.fixture(scope="module", autouse=True)
def command() -> Iterator[tuple[str, ...]]:
    """With headers of whatever version the VM lane has fetched, where this machine has none, and with a tracefs of its
    own where none is mounted."""
    need_data_plane()
    with pytest.MonkeyPatch.context() as patch:
        if kept := sorted(CACHED.glob("*.headers/tree")):
            patch.setenv("BCC_KERNEL_SOURCE", os.environ.get("BCC_KERNEL_SOURCE") or str(kept[-1]))
        mounted = any((root / "events").is_dir() for root in machine.TRACEFS)
        try:
            machine.bcc()
            machine.headers()
            if mounted:
                machine.kernel("drops")
        except Unsupported as lacking:
            pytest.skip(str(lacking))
        yield () if mounted else PRIVATE


@pytest.fixture
def joined(command):
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
        yield sender, command, receiver


def limit(space: Namespace, *more: str) -> None:
    command = ["tc", "-n", space.name, "qdisc", "replace", "dev", "va", "root", "tbf", "rate", "8mbit", "burst", "4k"]
    subprocess.run([*command, "limit", str(QUEUE_BYTES), *more], check=True)


def flood(space: Namespace) -> None:
    with space.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(SENT):
            sender.sendto(b"x" * 1000, ("10.9.0.2", PORT))


def stream(joined) -> None:
    """More at once than the queue holds, over TCP: some of it must be sent again."""
    sender, _, receiver = joined
    with receiver.entered():
        listening = socket.create_server(("10.9.0.2", PORT))
    with sender.entered(), listening, socket.create_connection(("10.9.0.2", PORT), PATIENCE_S) as out:
        into, _ = listening.accept()
        taken = threading.Thread(target=_taken, args=(into,))
        taken.start()
        out.sendall(b"x" * STREAM)
        out.shutdown(socket.SHUT_WR)
        taken.join()


def _taken(into: socket.socket) -> None:
    with into:
        while into.recv(65536):
            pass


def traced(joined, *words: str, during) -> list[dict]:
    space, command, _ = joined
    # A shell's job in the background ignores Ctrl-C, and so would everything below it.
    told_to_heed = ("env", "--default-signal=INT")
    argv = [
        *told_to_heed,
        *command,
        sys.executable,
        "-m",
        "sentinel_cli",
        "trace",
        *words,
        "--seconds",
        "240",
        "--json",
    ]
    with space.entered():
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("listening"), said
        during(space)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    return json.loads(told)["rows"]


@pytest.mark.slow
def test_packets_that_the_queue_refused_are_told_with_reason_and_flow(joined):
    limit(joined[0])
    rows = traced(joined, "drops", "--by", "flow", "--device", "va", "--port", str(PORT), during=flood)
    assert rows
    assert {row["device"] for row in rows} == {"va"}
    assert all(row["flow"].endswith(f"> 10.9.0.2:{PORT}") and row["protocol"] == "udp" for row in rows)
    assert 0 < sum(row["packets"] for row in rows) < SENT
    assert all(row["place"] for row in rows)


@pytest.mark.slow
def test_the_time_in_the_queue_is_told_and_another_port_is_left_out(joined):
    limit(joined[0])
    rows = traced(joined, "sojourn", "--by", "flow", "--port", str(PORT), during=flood)
    assert [row["flow"].partition(" > ")[2] for row in rows] == [f"10.9.0.2:{PORT}"]
    assert rows[0]["p99AtMostMicros"] >= 1000  # 20 kB at 8 Mbit/s wait for 20 ms
    assert traced(joined, "sojourn", "--by", "flow", "--port", "4001", during=flood) == []


@pytest.mark.slow
def test_what_is_sent_again_is_told_with_its_flow(joined):
    limit(joined[0])
    rows = traced(joined, "retransmits", "--port", str(PORT), during=lambda _: stream(joined))
    assert rows
    assert all(row["flow"].endswith(f"> 10.9.0.2:{PORT}") and row["packets"] > 0 for row in rows)


@pytest.mark.slow
def test_who_asks_for_another_size_of_a_queue_is_named(joined):
    rows = traced(joined, "resizes", "--device", "va", during=limit)
    assert [(row["who"], row["what"]) for row in rows] == [("tc", "queueing discipline set")]
