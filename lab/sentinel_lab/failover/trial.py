"""One blow under traffic: ten thousand packets a second and some connections, and what became of each of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.errors import Transient
from sentinel_lab.failover import plan
from sentinel_lab.failover.calls import Calls, ports_at
from sentinel_lab.failover.outage import outage
from sentinel_lab.failover.stage import wait_until
from sentinel_lab.topology import RECEIVER, SENDER
from sentinel_lab.traffic.orders import Received, ReceiveOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sentinel_lab.failover.calls import Answer
    from sentinel_lab.failover.outage import Outage
    from sentinel_lab.failover.stage import Stage

PACKETS_PER_S: Final = 10_000
FLOWS: Final = 60
CALLS: Final = 30
BEFORE_S, AFTER_S = 0.5, 1.5
ANSWER_S: Final = 10.0
ON_THE_WAY_S: Final = 0.2
_first_port = count(10_000, FLOWS)


@dataclass(frozen=True, slots=True)
class Trial:
    """`calls` are the answers on connections that were at the node when it was struck."""

    outage: Outage
    calls: tuple[Answer, ...] = ()
    dirt: str = ""
    """Why this sample must not be used."""


def under_traffic(stage: Stage, strike: Callable[[], None], until: Callable[[], None] | None = None) -> Trial:
    """Packets flow from before the strike until `until` returns and a while longer."""
    with flowing(stage) as stream:
        stream.start()
        time.sleep(BEFORE_S)
        struck_ns = time.monotonic_ns()
        strike()
        if until is not None:
            until()
        time.sleep(AFTER_S)
        return stream.judged(struck_ns)


def with_calls(stage: Stage, node: str, strike: Callable[[], None]) -> Trial:
    """The same, and connections ask a question at the moment of the strike."""
    calls = Calls(stage.spaces[SENDER], CALLS)
    try:
        there = ports_at(stage.spaces[node])
        with flowing(stage) as stream:
            stream.start()
            time.sleep(BEFORE_S)
            struck_ns = time.monotonic_ns()
            strike()
            calls.ask()
            answers = calls.answers(struck_ns, ANSWER_S)
            time.sleep(max(struck_ns / 1e9 + AFTER_S - time.monotonic(), 0.0))
            found = stream.judged(struck_ns)
    finally:
        calls.close()
    return Trial(found.outage, tuple(each for each in answers if each.port in there), found.dirt)


class Stream:
    """Both ends of the packets."""

    def __init__(self, sending: subprocess.Popen[str], receiving: subprocess.Popen[str], folder: Path) -> None:
        self._sending, self._receiving, self._folder = sending, receiving, folder

    def start(self) -> None:
        _tell(self._sending, "start")

    def judged(self, struck_ns: int) -> Trial:
        _tell(self._sending, "stop")
        sent = _heard(self._sending, "sender")
        time.sleep(ON_THE_WAY_S)
        _tell(self._receiving, "stop")
        received = Received.model_validate_json(_heard(self._receiving, "receiver"))
        found = outage(np.load(self._folder / "sent.npy"), np.load(self._folder / "arrivals.npy"), struck_ns)
        assert found.sent == json.loads(sent)["sent"]
        lost = received.overflowed
        return Trial(found, dirt=f"the receiver's own socket lost {lost} packets" if lost else "")


@contextmanager
def flowing(stage: Stage, packets_per_s: int = PACKETS_PER_S) -> Iterator[Stream]:
    """Both ends are up; nothing is sent before `start`."""
    send = {
        "namespace": stage.spaces[SENDER].name,
        "address": plan.VIP,
        "port": plan.STREAM_PORT,
        "first_port": next(_first_port),
        "flows": FLOWS,
        "packets_per_s": packets_per_s,
        "output": str(stage.folder / "sent.npy"),
    }
    receive = ReceiveOrder(
        namespace=stage.spaces[RECEIVER].name, ports=(plan.STREAM_PORT,), output=str(stage.folder / "arrivals.npy")
    )
    with ExitStack() as stack:
        receiving = stack.enter_context(_process("sentinel_lab.traffic.receiver", receive.model_dump_json()))
        sending = stack.enter_context(_process("sentinel_lab.failover.stream", json.dumps(send)))
        for each in (receiving, sending):
            assert each.stdout is not None
            if each.stdout.readline() != "ready\n":
                raise Transient("a process of the traffic did not start: try again on a quieter machine")
        yield Stream(sending, receiving, stage.folder)


@contextmanager
def _process(module: str, order: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _tell(process, order)
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _tell(process: subprocess.Popen[Any], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _heard(process: subprocess.Popen[str], who: str) -> str:
    assert process.stdout is not None
    text = process.stdout.read()
    wait_until(lambda: process.poll() is not None, f"the {who} ends")
    if process.returncode:
        raise Transient(f"the {who} ended with exit code {process.returncode}: try again")
    return text
