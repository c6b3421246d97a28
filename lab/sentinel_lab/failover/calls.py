"""TCP connections through the balancer that ask and are answered: whether they live on, are reset, or hang."""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Transient
from sentinel_lab.failover.plan import CALL_PORT, VIP
from sentinel_lab.failover.stage import nft

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentinel_lab.namespaces import Namespace

QUESTION: Final = b"still there?"
CONNECT_S: Final = 60.0
_ports = count(10_000)
"""None twice: a port's earlier flow is known for longer than it lasts, and would say where the new one goes."""

SEEN: Final = f"""
table ip calls {{
  set seen {{ type inet_service; flags dynamic; size 65535; }}
  chain forward {{ type filter hook forward priority 0; tcp dport {CALL_PORT} add @seen {{ tcp sport }}; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """`fate` is answered, reset or silent; `after_ms` how long that took."""

    port: int
    fate: str
    after_ms: float


class Calls:
    """Connections from one namespace, each answered once when it is made."""

    def __init__(self, space: Namespace, number: int) -> None:
        with space.entered():
            self._open = {next(_ports): socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(number)}
        for port, each in self._open.items():
            each.settimeout(CONNECT_S)
            each.bind(("", port))
            each.connect((VIP, CALL_PORT))
            each.sendall(QUESTION)
            if each.recv(len(QUESTION)) != QUESTION:
                raise Transient("a connection through the balancer was closed at once: try again")

    def ask(self) -> None:
        for each in self._open.values():
            each.setblocking(False)
            each.send(QUESTION)

    def answers(self, asked_ns: int, patience_s: float) -> list[Answer]:
        """What became of each question, as soon as all are known or the time is over."""
        found: dict[int, Answer] = {}
        with selectors.DefaultSelector() as waiting:
            for port, each in self._open.items():
                waiting.register(each, selectors.EVENT_READ, port)
            deadline = time.monotonic() + patience_s
            while len(found) < len(self._open) and (left := deadline - time.monotonic()) > 0:
                for key, _ in waiting.select(left):
                    waiting.unregister(key.fileobj)
                    after_ms = (time.monotonic_ns() - asked_ns) / 1e6
                    found[key.data] = Answer(key.data, _fate(self._open[key.data]), after_ms)
        silent = (Answer(port, "silent", patience_s * 1e3) for port in self._open if port not in found)
        return [*found.values(), *silent]

    def close(self) -> None:
        for each in self._open.values():
            each.close()


def _fate(through: socket.socket) -> str:
    try:
        return "answered" if through.recv(65536) else "reset"
    except ConnectionResetError:
        return "reset"


def note_ports(nodes: Sequence[Namespace]) -> None:
    """From now on each node notes whose connections it forwards."""
    for each in nodes:
        nft(each, SEEN)


def ports_at(node: Namespace) -> set[int]:
    """Client ports of the connections that the node forwarded so far."""
    command = ("ip", "netns", "exec", node.name, "nft", "--json", "list", "set", "ip", "calls", "seen")
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (found,) = [each["set"] for each in listed["nftables"] if "set" in each]
    return set(found.get("elem", ()))


@contextmanager
def answering(space: Namespace) -> Iterator[None]:
    """A service that says what it hears, to everybody, in a thread of its own."""
    with space.entered():
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("", CALL_PORT))
        listening.listen(1024)
    ended = threading.Event()
    thread = threading.Thread(target=_serve, args=(listening, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        listening.close()


def _serve(listening: socket.socket, ended: threading.Event) -> None:
    open_: set[socket.socket] = set()
    with selectors.DefaultSelector() as waiting:
        waiting.register(listening, selectors.EVENT_READ)
        while not ended.is_set():
            for key, _ in waiting.select(0.1):
                made = key.fileobj
                assert isinstance(made, socket.socket)
                if made is listening:
                    made, _whom = listening.accept()
                    open_.add(made)
                    waiting.register(made, selectors.EVENT_READ)
                elif not _echoed(made):
                    waiting.unregister(made)
                    open_.discard(made)
                    made.close()
    for each in open_:
        each.close()


def _echoed(made: socket.socket) -> bool:
    try:
        said = made.recv(65536)
        if said:
            made.sendall(said)
    except OSError:
        return False
    return bool(said)
