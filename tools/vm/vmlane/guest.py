"""One boot of one kernel under QEMU's emulator: what the job printed, what it reported, and how the guest ended."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmlane.catalogue import LaneError

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY_MIB = 2048  # shared and lazily backed: the host pays for what the guest touches
# Debian 12's QEMU brings its own daemon; Debian 13 and Ubuntu 24.04 package it alone, at a path of its own.
SHARE_DAEMONS = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
SHARE_START_S = 60.0
FOLLOW = ("setpriv", "--pdeathsig", "KILL")  # however the lane ends, nothing of it stays behind
# Stock guests die on nested KVM, so QEMU always emulates. One host thread runs all virtual CPUs: with one each, a CPU
# of QEMU 7.2 may run a breakpoint that another has just patched away, and the kernel panics (1 boot in 10, host busy).
ACCEL = "tcg,thread=single,tb-size=512"
CPU = "max,-avx,-avx2"  # both cost more to emulate than they save
KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet panic=-1 oops=panic mitigations=off random.trust_cpu=on no_timer_check"
    # QEMU 7.2 loses the flags of a cmpxchg16b that an interrupt follows, and every second boot of 6.12 died of it. The
    # kernel does without; programs must go on seeing it, since numpy asks for it.
    " clearcpuid=cx16"
)
COUNTED = ("-icount", "shift=1")  # two nanoseconds an instruction; idle, it follows the host's clock
EXIT_LINE = re.compile(r"^exit=(\d+)$", re.MULTILINE)
CONTROL = re.compile(r"\x1b[@-_][0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f]|\x1bc")
TAIL_LINES = 80  # a panic with its registers and both traces


@dataclass(frozen=True, slots=True)
class Job:
    """What to boot, for how long at most, and the mark that parts the job's output from its result."""

    image: Path
    initramfs: bytes
    marker: bytes
    timeout_s: float
    counted: bool = False
    """The guest's clock goes by the instructions it executes, so that a busy host does not make it late."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a guest ended. `failure` is empty when the job itself returned, whatever it returned."""

    exit_code: int
    report: str
    console: str
    failure: str


class Output:
    """Parts one stream in two: what comes before the marker is passed on at once, what comes behind it is kept."""

    def __init__(self, marker: bytes, listen: Callable[[bytes], None]) -> None:
        self._marker = marker
        self._listen = listen
        self._held = b""  # may begin the marker, or, once that was seen, is the result
        self._marked = False

    def take(self, piece: bytes) -> None:
        self._held += piece
        if self._marked:
            return
        before, found, behind = self._held.partition(self._marker)
        if found:
            self._marked, self._held = True, behind
        else:
            split = len(before) - len(self._marker) + 1
            before, self._held = before[: max(0, split)], before[max(0, split) :]
        self._listen(before)

    def result(self) -> str:
        """What came behind the marker; without one, the rest of the output is passed on."""
        if self._marked:
            return self._held.decode(errors="replace")
        self._listen(self._held)
        return ""


def preflight() -> tuple[Path, Path]:
    """QEMU and the daemon that shares the host's root, or a sentence about what is missing."""
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise LaneError("qemu-system-x86_64 is missing; install qemu-system-x86.")
    share = next((Path(path) for path in SHARE_DAEMONS if Path(path).exists()), None)
    if share is None:
        raise LaneError("virtiofsd is missing; install virtiofsd (in Debian 12: qemu-system-common).")
    if os.geteuid() != 0:
        raise LaneError("The VM lane shares the host's root with its guest; run it as root.")
    return Path(qemu), share


def boot(job: Job, scratch: Path, listen: Callable[[bytes], None]) -> Ending:
    """Run one guest to its end or its deadline; `listen` gets the job's output while it comes."""
    qemu, share = preflight()
    initrd, console, complaints = scratch / "initrd", scratch / "console", scratch / "qemu"
    initrd.write_bytes(job.initramfs)
    output = Output(job.marker, listen)
    with ExitStack() as stack:
        socket = _share_root(share, scratch, stack)
        guest = subprocess.Popen(
            [*_command(qemu, job.image, initrd, socket, console), *(COUNTED if job.counted else ())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stack.enter_context(complaints.open("wb")),
        )
        stack.callback(_end, guest)
        in_time = _relay(guest, job.timeout_s, output)
    failure = "" if in_time else f"hung: no end within {job.timeout_s:.0f} s"
    return _ending(output.result(), _text(console) + _text(complaints), failure)


def _share_root(daemon: Path, scratch: Path, stack: ExitStack) -> Path:
    socket, log = scratch / "share", scratch / "share.log"
    process = subprocess.Popen(
        # No raised limit on open files: that would need CAP_SYS_RESOURCE.
        [
            *FOLLOW,
            daemon,
            "-f",
            "-o",
            "source=/,cache=always,sandbox=chroot",
            "--rlimit-nofile=0",
            f"--socket-path={socket}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=stack.enter_context(log.open("wb")),
        stderr=subprocess.STDOUT,
    )
    stack.callback(_end, process)
    deadline = time.monotonic() + SHARE_START_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise LaneError(f"{daemon} did not start: {_text(log).strip() or 'it says nothing'}.")
        time.sleep(0.01)
    return socket


def _command(qemu: Path, image: Path, initrd: Path, share: Path, console: Path) -> list[str]:
    return [
        *FOLLOW,
        str(qemu),
        *("-machine", "q35,memory-backend=memory", "-accel", ACCEL, "-cpu", CPU, "-smp", "2"),
        *("-m", f"{MEMORY_MIB}M", "-object", f"memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on"),
        *("-nodefaults", "-display", "none", "-no-reboot", "-device", "virtio-rng-pci"),
        *("-kernel", str(image), "-initrd", str(initrd), "-append", KERNEL_ARGUMENTS),
        *("-serial", f"file:{console}", "-serial", "stdio"),
        *("-chardev", f"socket,id=share,path={share}", "-device", "vhost-user-fs-pci,chardev=share,tag=host"),
    ]


def _relay(guest: subprocess.Popen[bytes], timeout_s: float, output: Output) -> bool:
    """Pass output on until the guest closes it; False at the deadline."""
    assert guest.stdout is not None
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(guest.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if selector.select(left):
                piece = os.read(guest.stdout.fileno(), 65536)
                if not piece:
                    return True
                output.take(piece)
    return False


def _ending(result: str, console: str, failure: str) -> Ending:
    code = EXIT_LINE.search(result)
    if not failure and "Kernel panic" in console:
        failure = "the kernel panicked"
    elif not failure and code is None:
        failure = "ended without a result"
    if failure or code is None:
        return Ending(1, "", console, failure)
    return Ending(int(code[1]), EXIT_LINE.sub("", result), console, "")


def console_tail(console: str) -> str:
    """The last lines of a console, without what the firmware and terminals put between them."""
    lines = [line for line in CONTROL.sub("", console).splitlines() if line.strip()]
    return "\n".join(lines[-TAIL_LINES:])


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace") if path.exists() else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
