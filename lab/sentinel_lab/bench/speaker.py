"""How long an address on a segment is silent when the balancer that speaks for it dies: the receiver's view.

sender ── front ── edge1, edge2 ── tunnel ── node1 ── back ── receiver (has the address)
"""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError

import yaml

from sentinel_lab.dataplane import remove_pins_of_the_dead
from sentinel_lab.failover.stage import Program, wait_until
from sentinel_lab.fleet import EDGES, MESH_PORT, VIP, fleet
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE, RECEIVER, SENDER, built

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sentinel_lab.namespaces import Namespace

BALANCERS: Final = ("edge1", "edge2")
NODE: Final = "node1"
ADDRESSES: Final = {"edge1": "10.78.0.10", "edge2": "10.78.0.11", NODE: "10.78.0.21"}
SWITCH: Final = "frontsw"
PORT: Final = 7000
APART_S: Final = 0.002
BEFORE_S, AFTER_S = 0.5, 3.0
STATE: Final = "http://127.0.0.1:9468/debug/state"
STAMP: Final = struct.Struct("!Q")
_ports = count(50_000)


def takeovers(times: int) -> list[float]:
    """Milliseconds without a packet, for so many deaths of whoever speaks for the address."""
    remove_pins_of_the_dead()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sentinel-speaker-")))
        spaces = stack.enter_context(built(fleet(1, balancers=len(BALANCERS))))
        for role in (*BALANCERS, NODE):  # a switch floods what it has no port for, and XDP takes what no card would
            run("bridge", "-n", spaces[SWITCH].name, "link", "set", "dev", f"to-{role}", "flood", "off")
        programs = {role: _program(spaces[role], role, folder) for role in (NODE, *BALANCERS)}
        for each in programs.values():
            stack.callback(each.remove)
            each.start()
        return [_takeover(spaces, programs) for _ in range(times)]


def _takeover(spaces: Mapping[str, Namespace], programs: Mapping[str, Program]) -> float:
    """As when its power fails: its link and its processes at once."""
    wait_until(lambda: _agreed(spaces) is not None, "one balancer speaks for the address and knows the other")
    speaker = _agreed(spaces)
    assert speaker is not None
    with _stream(spaces[SENDER], spaces[RECEIVER]) as arrived:
        wait_until(lambda: len(arrived) > 0, "packets reach the receiver")
        time.sleep(BEFORE_S)
        spaces[SWITCH].ip("link", "set", f"to-{speaker}", "down")
        programs[speaker].kill()
        cut_ns, seen = time.monotonic_ns(), len(arrived)
        wait_until(lambda: arrived[-1] > cut_ns and len(arrived) > seen, "packets reach the receiver again")
        time.sleep(AFTER_S)
        stamps = list(arrived)
    spaces[SWITCH].ip("link", "set", f"to-{speaker}", "up")
    programs[speaker].start()
    return longest_silence(stamps) / 1e6


def longest_silence(stamps: Sequence[int]) -> int:
    """Between two packets that arrived, by when they were sent: a receiver that the machine let wait adds nothing."""
    ordered = sorted(stamps)
    return max((late - early for early, late in pairwise(ordered)), default=0)


def _agreed(spaces: Mapping[str, Namespace]) -> str | None:
    """The one that speaks for the address, once both know each other and the node."""
    told = {role: _state(spaces[role]) for role in BALANCERS}
    knowing = all(
        len(each.get("balancers", [])) == 1 and {"ready"} == {one["state"] for one in each["backends"].values()}
        for each in told.values()
    )
    speaking = [role for role, each in told.items() if VIP in each.get("announced", [])]
    return speaking[0] if knowing and len(speaking) == 1 else None


def _state(space: Namespace) -> dict[str, Any]:
    try:
        with space.entered(), urllib.request.urlopen(STATE, timeout=2.0) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (URLError, TimeoutError, ConnectionError):
        return {}


@contextmanager
def _stream(sender: Namespace, receiver: Namespace) -> Iterator[list[int]]:
    """One flow, a packet every two milliseconds; when each that arrived was sent."""
    arrived: list[int] = []
    ended = threading.Event()
    with receiver.entered():
        hearing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        hearing.bind((VIP, PORT))
        hearing.settimeout(0.2)
    with sender.entered():
        sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sending.bind(("", next(_ports)))
    threads = [
        threading.Thread(target=_send, args=(sending, ended), daemon=True),
        threading.Thread(target=_hear, args=(hearing, arrived, ended), daemon=True),
    ]
    for each in threads:
        each.start()
    try:
        yield arrived
    finally:
        ended.set()
        for each in threads:
            each.join()
        sending.close()
        hearing.close()


def _send(sending: socket.socket, ended: threading.Event) -> None:
    due = time.monotonic()
    while not ended.wait(max(0.0, due - time.monotonic())):
        due += APART_S
        try:
            sending.sendto(STAMP.pack(time.monotonic_ns()), (VIP, PORT))
        except OSError:  # nobody answers for the address just now
            continue


def _hear(hearing: socket.socket, arrived: list[int], ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            arrived.append(STAMP.unpack(hearing.recv(64))[0])
        except TimeoutError:
            continue


def _program(space: Namespace, role: str, folder: Path) -> Program:
    gold = {"name": "gold", "match": [{"protocol": "UDP", "port": PORT}]}
    told: dict[str, Any] = {"trafficClasses": [gold]}
    if role == NODE:
        told |= {
            "dataPlane": {"interfaces": [{"name": NODE_DEVICE, "rateBitsPerSecond": 1_000_000_000}]},
            "balancers": [EDGES],
        }
    else:
        told |= {
            "interface": NODE_DEVICE,
            "backends": [{"name": _named(NODE), "address": ADDRESSES[NODE]}],
            "vips": [{"address": VIP, "port": PORT, "protocol": "UDP"}],
        }
    config = folder / f"{role}.yaml"
    config.write_text(yaml.safe_dump(told))
    peers = [each for each in BALANCERS if each != role]
    environment = {
        "SENTINEL_NODE_NAME": _named(role),
        "SENTINEL_MESH_LISTEN": _endpoint(role),
        "SENTINEL_MESH_PEERS": ",".join(map(_endpoint, peers)),
    }
    return Program(space, "sentinel_agent" if role == NODE else "sentinel_lb", config, environment)


def _named(role: str) -> str:
    return f"lab-{os.getpid()}-{role}"


def _endpoint(role: str) -> str:
    return f"tcp/{ADDRESSES[role]}:{MESH_PORT}"
