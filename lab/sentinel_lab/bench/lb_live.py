"""The same packets the kernel's own way, by nftables' DNAT, and the balancer's: frames that really leave."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Transient, Unsupported
from sentinel_bpf import attach, pins, testrun
from sentinel_bpf import object as bpf_object
from sentinel_bpf.probe import BPFFS
from sentinel_lab.bench import bpf_frames, bpf_loop, lb_loop
from sentinel_lab.namespaces import Namespace, run
from sentinel_lb.act.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sentinel_bpf.object import Program

FRAMES: Final = 20_000
HERE, THERE = "live0", "live1"
RULES: Final = f"""
table ip sentinel_bench {{
  chain pre {{ type nat hook prerouting priority dstnat;
    ip daddr {lb_loop.VIP} tcp dport {lb_loop.PORT} dnat to 203.0.113.1:{lb_loop.PORT}
  }}
}}
"""
CPUS: Final = tuple(os.sched_getaffinity(0))
"""Before a bench keeps to one of them."""
FLOOD_FLOWS: Final = 1 << 19
FLOOD_FRAMES: Final = 50_000
TALKING: Final = 4096
NOWHERE: Final = 2000  # behind the frame's end: its source port stays as it is
SAME_ADDRESS: Final = 4  # flows of the loop that differ by their port alone, which is the same then


def against_the_kernel(rounds: int) -> dict[str, float]:
    """Nanoseconds a frame of one known flow, round by round in turn; without nftables the balancer's alone."""
    kind = lb_loop.Kind("known TCP", bpf_frames.PLAIN4, 1)
    with _between() as index, lb_loop.balancer(kind) as balancer, _sending(kind.frame, index) as sending:
        Tables(balancer).put_mac(_mac())
        testrun.run(balancer.program("sn_balance"), _for_us(lb_loop.OPENING.data))
        ways = {"ns_live_lb": balancer.program("sn_balance")}
        if _dnat():
            ways["ns_live_nft_dnat"] = sending.loaded.program("sn_bench_pass")
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, program in ways.items():
                found[name].append(sending.ns_a_frame(program, 1, FRAMES))
        _require_known(balancer)
    return {name: median(each) for name, each in found.items()}


def flooded(rounds: int) -> dict[str, float]:
    """Openings as fast as cores take real frames, under the shipped bound, and flows that talk in between: on one core,
    and on all of them at once."""
    talk, open_ = (replace(each, port_at=NOWHERE) for each in (bpf_frames.PLAIN4, lb_loop.OPENING))
    kind = lb_loop.Kind("SYN flood", talk, TALKING, bounded=True)
    flows = TALKING * SAME_ADDRESS
    with ExitStack() as stack:
        index = stack.enter_context(_between())
        balancer = stack.enter_context(lb_loop.balancer(kind))
        Tables(balancer).put_mac(_mac())
        opening, talking = (stack.enter_context(_sending(each, index)) for each in (open_, talk))
        floods = {cpu: stack.enter_context(_sending(lb_loop.OPENING, index)) for cpu in CPUS}
        program = balancer.program("sn_balance")
        for begun in (opening, talking):
            begun.ns_a_frame(program, flows, flows)
        lb_loop.end_doubt(balancer)
        took_ns: dict[int, list[float]] = {1: [], len(floods): []}
        kept = 0
        for _ in range(rounds):
            for cores, found in took_ns.items():
                found.append(together(dict(list(floods.items())[:cores]), program))
            before = _known(balancer)
            talking.ns_a_frame(program, flows, flows)
            kept += _known(balancer) - before
    return {
        "flood_real_syn_per_s": 1e9 / median(took_ns[1]),
        "flood_all_cores_syn_per_s": 1e9 / median(took_ns[len(floods)]),
        "flood_kept_percent": 100 * kept / (rounds * flows),
    }


def together(floods: Mapping[int, Sending], program: Program) -> float:
    """Nanoseconds a frame while each core sends its own flows, and none waits for another."""
    spans: list[tuple[int, int]] = []
    at_once = threading.Barrier(len(floods))

    def send(cpu: int, turn: int) -> None:
        os.sched_setaffinity(0, {cpu})  # of this thread alone
        floods[cpu].begin_at(turn * FLOOD_FLOWS // len(floods))
        at_once.wait()
        start_ns = time.perf_counter_ns()
        floods[cpu].ns_a_frame(program, FLOOD_FLOWS, FLOOD_FRAMES)
        spans.append((start_ns, time.perf_counter_ns()))

    with ThreadPoolExecutor(len(floods)) as senders:
        for each in [senders.submit(send, cpu, turn) for turn, cpu in enumerate(floods)]:
            each.result()
    took_ns = max(end for _, end in spans) - min(start for start, _ in spans)
    return took_ns / (len(floods) * FLOOD_FRAMES)


class Sending:
    """The loop's frames as real ones, each made anew: what a program did to a page is still in it the next time."""

    def __init__(self, loop: bpf_loop.Loop, frame: bytes, index: int) -> None:
        self.loaded, self._frame, self._index = loop.loaded, frame, index
        self._state = loop.loaded.map("sn_bench").view(writable=True)
        self._timed = loop.loaded.map("sn_bench_timed")

    def begin_at(self, position: int) -> None:
        """Which flow is the next."""
        self._state["position"] = position

    def ns_a_frame(self, program: Program, flows: int, frames: int) -> float:
        self._timed.put(0, program.descriptor)
        self._state["flows_mask"] = flows - 1
        start = time.perf_counter_ns()
        testrun.send(self.loaded.program("sn_bench_next"), self._frame, frames, interface_index=self._index)
        return (time.perf_counter_ns() - start) / frames


@contextmanager
def _sending(frame: bpf_frames.Frame, index: int) -> Iterator[Sending]:
    mine = replace(frame, data=_for_us(frame.data))
    with lb_loop.loop_over(mine) as loop:
        yield Sending(loop, mine.data, index)


def _known(balancer: bpf_object.Object) -> int:
    return lb_loop.reasons(balancer, lb_loop.reason_names()).get("KNOWN", 0)


def _require_known(balancer: bpf_object.Object) -> None:
    """Or the figures are those of another path."""
    ways = lb_loop.reasons(balancer, lb_loop.reason_names())
    if ways.get("KNOWN", 0) < sum(ways.values()) - 1:
        raise Transient(f"frames took another way than the one to be timed ({ways}): run the benchmark again")


def _for_us(frame: bytes) -> bytes:
    """To the device's own address, or balancer and stack would let go of it."""
    return _mac() + frame[6:]


def _mac() -> bytes:
    told = run("ip", "-o", "link", "show", HERE)
    return bytes.fromhex(told.partition("link/ether ")[2].split()[0].replace(":", ""))


def _dnat() -> bool:
    try:
        subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return False
    return True


@contextmanager
def _between() -> Iterator[int]:
    """A namespace whose router forwards to a neighbour that takes everything."""
    space = Namespace("live", os.getpid())
    space.create()
    pin = BPFFS / f"bench-{os.getpid()}" / "link"
    try:
        with space.entered(), bpf_object.load(bpf_loop.LOOP) as passing:
            run("ip", "link", "add", HERE, "type", "veth", "peer", "name", THERE)
            for device in (HERE, THERE):
                run("ip", "link", "set", device, "up")
            run("ip", "address", "add", "203.0.113.254/24", "dev", HERE)
            run("ip", "route", "add", "default", "dev", HERE)
            run("ip", "neighbour", "add", "203.0.113.1", "lladdr", "02:00:00:00:00:09", "dev", HERE)
            run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
            pins.mount()
            attach.attach(passing.program("sn_bench_drop"), THERE, attach.Hook.XDP, pin)
            yield attach.interface_index(HERE)
    except OSError as error:
        raise Unsupported(f"frames cannot be sent through a namespace here ({error.strerror})") from error
    finally:
        attach.detach(pin)
        pins.drop_empty(pin.parent, pin.parent)
        space.remove()
