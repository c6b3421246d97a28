"""Network namespaces that a crash cannot leave behind for good: each one is named after the process that made it."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel_api.errors import Invalid, Transient, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = {"ethtool": "ethtool", "nft": "nftables", "sysctl": "procps"}  # the rest is of iproute2
NAMES = Path("/run/netns")
PATTERN = re.compile(r"^sn-(?P<pid>\d+)-(?P<role>[a-z0-9]+)$")
CLONE_NEWNET = 0x40000000
COMMAND_SECONDS = 120  # only ends a hang: on a busy machine others keep the kernel's network lock for long

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Namespace:
    role: str
    owner: int

    @property
    def name(self) -> str:
        return f"sn-{self.owner}-{self.role}"

    def create(self) -> None:
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def remove(self) -> None:
        if (NAMES / self.name).exists():
            run("ip", "netns", "del", self.name)

    def ip(self, *arguments: str) -> str:
        return run("ip", "-n", self.name, *arguments)

    @contextmanager
    def entered(self) -> Iterator[None]:
        with entered(self.name):
            yield


@contextmanager
def entered(name: str) -> Iterator[None]:
    """This thread works in the namespace; sockets opened meanwhile stay there."""
    with Path("/proc/thread-self/ns/net").open("rb") as home, (NAMES / name).open("rb") as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def enter_for_good(name: str) -> None:
    """For a process that lives in one namespace; call before it has threads."""
    with (NAMES / name).open("rb") as there:
        _setns(there.fileno())


def go_first(pid: int = 0) -> None:
    """Real-time priority for a process, or for this thread: what else the machine does must not decide a comparison.

    Every controller and both ends of the traffic run at it, so that it favours none; each sleeps most of the time.
    """
    os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


def remove_leftovers() -> list[str]:
    """Namespaces whose maker is gone, with the processes in them; their names. Several may tidy up at once: one that
    another removes meanwhile is removed."""
    if not NAMES.is_dir():
        return []
    gone = []
    for each in sorted(NAMES.iterdir()):
        match = PATTERN.match(each.name)
        if match and not Path("/proc", match["pid"]).exists():
            with suppress(Transient):
                _end_processes(each.name)
                Namespace(match["role"], int(match["pid"])).remove()
                gone.append(each.name)
    return gone


def _end_processes(name: str) -> None:
    """What a dead maker started lives on in the namespace, which would outlive its name with it."""
    for pid in run("ip", "netns", "pids", name).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def unwind_when_told() -> None:
    """SIGTERM ends a command as Ctrl-C does: by way of everything that cleans up."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def require_root() -> None:
    if os.geteuid() != 0:
        raise Invalid("this needs root for network namespaces, XDP and queues: run it again with sudo")


def run(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    except FileNotFoundError as cause:
        package = PACKAGES.get(command[0], "iproute2")
        raise Unsupported(f"{command[0]} is not installed; install {package}") from cause
    except subprocess.CalledProcessError as cause:
        raise Transient(f"{' '.join(command)}: {cause.stderr.strip()}") from cause
    return done.stdout


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise Unsupported(f"entering a network namespace: {os.strerror(number)}")
