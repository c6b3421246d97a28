"""Well-known XDP programs beside the data plane's, each alone on one frame, where xdp-tools are installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Unsupported
from sentinel_bpf import attach, libbpf, testrun
from sentinel_bpf import object as bpf_object
from sentinel_bpf.object import Program
from sentinel_lab.bench.bpf_loop import ALL, LOOP, XDP_DROP, XDP_PASS, staged
from sentinel_lab.namespaces import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.bench.bpf_frames import Frame

OURS, OUR_DROP = "sn_ingress, all stages", "a program that only drops"
XDP_BENCH, XDP_FORWARD = "xdp-bench drop", "xdp-forward (routes)"
XDP_REDIRECT: Final = 4
REPEATS: Final = 60  # in one test run: each costs the forwarded frame a hop, of which it has 64
RUNS_A_ROUND: Final = 10  # each waits for all CPUs (RCU)
STARTING_S: Final = 30.0
COMES_IN, GOES_OUT, DROPS = "in1", "out1", "drop1"
ADDRESSES: Final = {COMES_IN: "10.255.255.1/8", GOES_OUT: "203.0.113.1/24"}
NETWORK, ROUTER, ROUTERS_MAC = "198.51.100.0/24", "203.0.113.2", "02:00:00:00:00:fe"


@dataclass(frozen=True, slots=True)
class Yardstick:
    name: str
    program: Program
    verdict: int
    interface: str = ""


def alone_ns(frame: Frame, rounds: int) -> dict[str, float]:
    """A packet's time in test runs of `REPEATS`, in turns; nothing is subtracted. Others' where they are installed."""
    kept: dict[str, list[int]] = {}
    with ExitStack() as stack:
        loop, agent = stack.enter_context(bpf_object.load(LOOP)), stack.enter_context(staged(ALL))
        found = [
            Yardstick(OUR_DROP, loop.program("sn_bench_drop"), XDP_DROP),
            Yardstick(OURS, agent.program("sn_ingress"), XDP_PASS),
        ]
        _build_roads(stack)
        found += _others(stack)
        for each in found * (rounds * RUNS_A_ROUND):
            index = attach.interface_index(each.interface) if each.interface else 0
            ran = testrun.run(each.program, frame.data, repeat=REPEATS, interface_index=index)
            if ran.action != each.verdict:
                raise Unsupported(f"{each.name} did not do what is to be timed: its verdict is {ran.action}")
            kept.setdefault(each.name, []).append(ran.duration_ns)
    return {name: float(median(each)) for name, each in kept.items()}


def _others(stack: ExitStack) -> Iterator[Yardstick]:
    """Those that are installed and start on this kernel."""
    if shutil.which("xdp-bench"):
        command = ("xdp-bench", "drop", DROPS, "-m", "native", "-i", "3600")
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(running.wait)
        stack.callback(running.send_signal, signal.SIGINT)
        program = _occupant(stack, DROPS, running)
        if program:
            yield Yardstick(XDP_BENCH, program, XDP_DROP)
    if shutil.which("xdp-forward"):
        loader = subprocess.Popen(("xdp-forward", "load", COMES_IN, GOES_OUT), stderr=subprocess.DEVNULL)
        loader.wait()
        program = _occupant(stack, COMES_IN, loader)
        if program:
            yield Yardstick(XDP_FORWARD, program, XDP_REDIRECT, COMES_IN)


def _build_roads(stack: ExitStack) -> None:
    """A namespace that would forward the frame: from one cable, by a route and a known neighbour, out of another."""
    space = Namespace("yard", os.getpid())
    space.create()
    stack.callback(space.remove)
    stack.enter_context(space.entered())
    for far in (COMES_IN, GOES_OUT, DROPS):
        near = far.replace("1", "0")
        space.ip("link", "add", near, "type", "veth", "peer", "name", far)
        for end in (near, far):
            space.ip("link", "set", end, "addrgenmode", "none", "up")
    for far, address in ADDRESSES.items():
        space.ip("address", "add", address, "dev", far)
    space.ip("neigh", "add", ROUTER, "lladdr", ROUTERS_MAC, "dev", GOES_OUT)
    space.ip("route", "add", NETWORK, "via", ROUTER, "dev", GOES_OUT)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _occupant(stack: ExitStack, interface: str, loader: subprocess.Popen[bytes]) -> Program | None:
    """What `loader` puts on `interface`, kept until the stack ends; None where it ends without, or takes too long."""
    deadline = time.monotonic() + STARTING_S
    while True:
        ended = loader.poll() is not None
        found = attach.occupant(interface)
        if found:
            break
        if ended or time.monotonic() > deadline:
            return None
        time.sleep(0.05)
    descriptor = libbpf.lib().bpf_prog_get_fd_by_id(found.program_id)
    stack.callback(os.close, descriptor)
    return Program(found.name, descriptor)
