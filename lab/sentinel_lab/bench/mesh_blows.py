"""What befalls a member of the mesh while others watch it, and what else may be wrong with the world meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sentinel_lab.bench.mesh_lab import MeshLab, Running

WATCHER, VICTIM, OTHER = 1, 2, 3  # places around the hub; the first and the last watch the second, and each other
LOST_PERCENT: Final = 30
ADVERSE_S: Final = 2.0
"""How long a bad world lasts before the blow: what it does to the watchers' patience has happened by then."""


def _ordinary(_lab: MeshLab, _watchers: Sequence[Running]) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def _lossy(lab: MeshLab, _watchers: Sequence[Running]) -> Iterator[None]:
    """Of all packets to and from the victim, in either direction."""
    lab.lose(VICTIM, LOST_PERCENT)
    try:
        time.sleep(ADVERSE_S)
        yield
    finally:
        lab.lose(VICTIM, 0)


@contextmanager
def _slow_reader(_lab: MeshLab, watchers: Sequence[Running]) -> Iterator[None]:
    """The second watcher reads nothing: its sockets fill, and those who speak to it must not wait for it."""
    watchers[1].process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(ADVERSE_S)
        yield
    finally:
        watchers[1].process.send_signal(signal.SIGCONT)


@contextmanager
def _busy(_lab: MeshLab, _watchers: Sequence[Running]) -> Iterator[None]:
    """A process a CPU that never sleeps."""
    command = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        time.sleep(ADVERSE_S)
        yield
    finally:
        for each in spinning:
            each.kill()
            each.wait()


@dataclass(frozen=True, slots=True)
class Blow:
    """What befalls the victim, how it is undone where that is possible, and in which world; `judges`: how many of the
    watchers can notice."""

    strike: Callable[[MeshLab, Running], None]
    undo: Callable[[MeshLab, Running], None] | None = None
    world: Callable[[MeshLab, Sequence[Running]], AbstractContextManager[None]] = _ordinary
    judges: int = 2


def _kill(_lab: MeshLab, victim: Running) -> None:
    victim.process.kill()


def _cut(lab: MeshLab, _victim: Running) -> None:
    lab.cut(VICTIM)


def _heal(lab: MeshLab, _victim: Running) -> None:
    lab.heal(VICTIM)


BLOWS: Final[Mapping[str, Blow]] = {
    "kill": Blow(_kill),
    "stop": Blow(
        lambda _lab, victim: victim.process.send_signal(signal.SIGSTOP),
        lambda _lab, victim: victim.process.send_signal(signal.SIGCONT),
    ),
    "cut": Blow(_cut, _heal),
    "cut_with_loss": Blow(_cut, _heal, _lossy),
    "cut_beside_a_slow_reader": Blow(_cut, _heal, _slow_reader, judges=1),
    "cut_while_busy": Blow(_cut, _heal, _busy),
}
PARTITION: Final = Blow(lambda lab, _: lab.cut(WATCHER), lambda lab, _: lab.heal(WATCHER), judges=1)
"""The first watcher is alone on its side: it loses everybody at once, and everybody it."""
