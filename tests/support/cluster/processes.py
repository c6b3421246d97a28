"""Processes that outlive nobody: each leads its own group, is known by a record on disk, and dies with its owner.

The record (process id and start time) lets a later run find and end what a crashed one left behind, without ever
signalling a stranger that was given the same id.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.cluster.errors import ClusterError

GRACE_S = 10.0
HANGS_S = 120.0  # what a busy machine does at last; it only ends a wait that would be for ever
LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, told apart from a later one with the same id."""

    pid: int
    started_ticks: int

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """None once it ended."""
        fields = _stat(Path(f"/proc/{pid}"))
        return None if _ended(fields) else cls(pid, int(fields[19]))

    @classmethod
    def read(cls, record: Path) -> "Identity | None":
        try:
            return cls(**json.loads(record.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, record: Path) -> None:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"pid": self.pid, "started_ticks": self.started_ticks}))

    @property
    def alive(self) -> bool:
        return Identity.of(self.pid) == self

    def signal_group(self, which: signal.Signals) -> None:
        if self.group():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, which)

    def group(self) -> list[int]:
        """Who still runs of the group it leads; nobody where the id now belongs to a stranger."""
        leader = Identity.of(self.pid)
        if leader is not None and leader != self:
            return []
        return [pid for pid, group in _groups() if group == self.pid]

    def wait(self, timeout_s: float) -> bool:
        """True when the whole group ended in time."""
        deadline = time.monotonic() + timeout_s
        while self.group():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def end(self, grace_s: float = GRACE_S) -> None:
        """Ask, then insist; the whole group."""
        self.signal_group(signal.SIGTERM)
        if not self.wait(grace_s):
            self.signal_group(signal.SIGKILL)
            self.wait(HANGS_S)


def _groups() -> Iterator[tuple[int, int]]:
    """Each living process with its group."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and not _ended(fields := _stat(folder)):
            yield int(folder.name), int(fields[2])


def _stat(folder: Path) -> list[str]:
    """The fields of `stat` from the state on; empty for one that is gone."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ended(fields: Sequence[str]) -> bool:
    """A zombie has ended, but not while other threads of it live: they still hold its sockets open."""
    return not fields or (fields[0] in "ZX" and int(fields[17]) <= 1)


class Process:
    """One long-running program, its log and its record."""

    def __init__(self, name: str, argv: Sequence[str | Path], folder: Path, *, tied: bool = True) -> None:
        """`tied`: the kernel kills it when the caller dies, however that happens."""
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = folder / "log" / f"{name}.log"
        self.record = folder / "processes" / f"{name}.json"
        self.tied = tied
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def identity(self) -> Identity | None:
        return Identity.read(self.record)

    @property
    def running(self) -> bool:
        identity = self.identity
        return identity is not None and identity.alive

    def start(self) -> None:
        if self.running:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        prefix = ["setpriv", "--pdeathsig", "KILL", "--"] if self.tied else []
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                prefix + self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        identity = Identity.of(self._child.pid)
        if identity is None:
            raise self.failure("ended at once")
        identity.write(self.record)
        wait_until(
            f"{self.name} to be tied to its owner", lambda: not _still_tying(identity.pid), HANGS_S, pause_s=0.001
        )

    def stop(self, grace_s: float = GRACE_S) -> None:
        if identity := self.identity:
            identity.end(grace_s)
        self._forget()

    def kill(self) -> None:
        """As a crash would: no grace, no farewell."""
        if identity := self.identity:
            identity.signal_group(signal.SIGKILL)
            identity.wait(HANGS_S)
        self._forget()

    def _forget(self) -> None:
        if self._child is not None:
            self._child.wait()
            self._child = None
        self.record.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise with the log's end when it has died."""
        if not self.running:
            raise self.failure("died")

    def failure(self, what: str) -> ClusterError:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:] if self.log.exists() else []
        return ClusterError("\n".join([f"{self.name} {what}; its log {self.log} ends:", *lines]))


def _still_tying(pid: int) -> bool:
    """An owner that dies before `setpriv` has done its work would be outlived."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"setpriv\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def end_recorded(folder: Path) -> None:
    """End every process that a record in `folder` names, the youngest first."""
    found = [(Identity.read(record), record) for record in (folder / "processes").glob("*.json")]
    for identity, record in sorted(found, key=lambda one: one[0].started_ticks if one[0] else 0, reverse=True):
        if identity:
            identity.end()
        record.unlink(missing_ok=True)


def wait_until(what: str, holds: Callable[[], bool], timeout_s: float, pause_s: float = 0.05) -> None:
    """Poll `holds`; `what` ends the sentence of the failure."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise ClusterError(f"Waited {timeout_s:g} s in vain for {what}.")
        time.sleep(pause_s)
