"""Looks once in a while whether what is ours in the kernel is still there, and whether what was in our way has gone.

It changes nothing. Whoever finds the facts of an interface changed opens the planes anew, which settles by itself what
this node may do: our own programs and queues are taken over or put back, those of strangers stay and are told.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_api.errors import SentinelError
from sentinel_bpf import attach, layout
from sentinel_bpf.buffer import leaves, wire
from sentinel_bpf.buffer.plumbing import queue_device
from sentinel_bpf.buffer.port import Direction, Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sentinel_agent.lane import Lane
    from sentinel_bpf.buffer.port import Interface

EVERY_S: Final = 2.0
STEADY: Final = 2
"""Looks that must agree before anything is done: a device that is being set up changes from look to look."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one interface; equal facts mean that nothing happened which concerns us."""

    index: int | None
    """None: there is no such interface."""
    program: int = 0
    """Whose XDP program is there; 0: nobody's."""
    queue: tuple[str, int] = ("", 0)
    """Kind and handle of the root where our queue stands or would."""
    redirected: bool = False
    """Whether the hook is there through which arriving packets come into the queue."""
    strange: frozenset[int] = frozenset()
    """Classes whose leaf is gone or does not have the limit that was ordered."""


@dataclass(frozen=True, slots=True)
class Watched:
    """An interface as it was when its plane was opened; `lane` is None where there was nothing to open it on."""

    interface: Interface
    index: int | None
    lane: Lane | None


class Inspector:
    """`changed` is called from this thread, once, with the sentence that says what happened."""

    def __init__(self, watched: Sequence[Watched], major: int, changed: Callable[[str], None]) -> None:
        self._watched = watched
        self._major = major
        self._changed = changed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inspect", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        rtnl = wire.Rtnl()
        first: list[Facts] = []
        odd, pause_s = 0, 0.0
        while not self._stopped.wait(pause_s):
            pause_s = EVERY_S
            try:
                now = [facts(each, rtnl, self._major) for each in self._watched]
            except (OSError, SentinelError) as error:
                log.info("inspection_failed", error=str(error))
                continue
            first = first or now
            odd = odd + 1 if now != first else 0
            if odd >= STEADY:
                self._changed("; ".join(_differences(self._watched, first, now)))
                return


def facts(watched: Watched, rtnl: wire.Rtnl, major: int) -> Facts:
    """By index where there was an interface: one that was renamed is the same. Asked in one plain dump, since a library
    that takes every attribute apart costs more than the rest of the look."""
    name, index = watched.interface.name, watched.index
    if index is None:
        return Facts(_index(name))
    try:
        name = socket.if_indextoname(index)
    except OSError:
        return Facts(_index(name))
    if watched.lane is not None:
        _note(watched.lane, name)
    occupant = attach.occupant(name)
    ingress = watched.interface.direction is Direction.INGRESS
    queue = _index(queue_device(index)) if ingress else index
    before = watched.lane.ordered if watched.lane is not None else {}
    standing = rtnl.standing([each for each in (index, queue) if each is not None])
    mine = [each for each in standing if each.ifindex == queue]
    return Facts(
        index,
        occupant.program_id if occupant else 0,
        next((_root(each) for each in mine if each.parent == wire.U32), ("", 0)),
        ingress and any(each.ifindex == index and each.name == "clsact" for each in standing),
        _strange(watched.lane, before, leaves.limits(mine, major)) if queue is not None else frozenset(),
    )


def _index(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def _root(qdisc: wire.Message) -> tuple[str, int]:
    return qdisc.name, qdisc.handle >> 16


def _note(lane: Lane, name: str) -> None:
    """Everything of ours goes by index and goes on; only the next start will look for the old name."""
    note = f"{lane.name} is called {name} now: name it so in dataPlane.interfaces" if name != lane.name else ""
    if note and note != lane.note:
        log.warning("interface_renamed", interface=lane.name, now=name)
    lane.note = note


def _strange(lane: Lane | None, before: Mapping[int, int], found: Mapping[int, int]) -> frozenset[int]:
    """A limit that the tick moves just now is none: what was ordered before and after the look is asked for."""
    if lane is None or lane.plane.verdict.tier is not Tier.HTB:
        return frozenset()
    first = layout.constants(lane.plane.place.object_path, "sn_queue_const")["SN_QUEUE_MINOR"]
    unlike = {each for each, limit in before.items() if found.get(first + each) != limit}
    return frozenset(each for each in unlike if lane.ordered.get(each) == before[each])


def _differences(watched: Sequence[Watched], before: Sequence[Facts], now: Sequence[Facts]) -> list[str]:
    said = []
    for each, was, is_ in zip(watched, before, now, strict=True):
        name = each.interface.name
        if was.index != is_.index:
            said.append(f"{name} is gone" if is_.index is None else f"{name} is there again")
        elif was.program != is_.program:
            said.append(f"the XDP program on {name} is another one")
        elif was.queue != is_.queue:
            said.append(f"the queue of {name} was {_named(was.queue)} and is {_named(is_.queue)}")
        elif was != is_:
            said.append(f"somebody changed what is ours in the queue of {name}")
    return said


def _named(queue: tuple[str, int]) -> str:
    kind, major = queue
    return f"{kind} {major:x}:" if kind else "nothing"
