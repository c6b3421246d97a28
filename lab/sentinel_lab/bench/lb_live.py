"""The same packets the kernel's own way, by nftables' DNAT, and the balancer's: frames that really leave."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Unsupported
from sentinel_bpf import attach, pins, testrun
from sentinel_bpf import object as bpf_object
from sentinel_bpf.probe import BPFFS
from sentinel_lab.bench import bpf_frames, bpf_loop, lb_loop
from sentinel_lab.namespaces import Namespace, run

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def against_the_kernel(rounds: int) -> dict[str, float]:
    """Nanoseconds a frame of one known flow, round by round in turn; empty where there is no nftables."""
    frame = bpf_frames.PLAIN4
    kind = lb_loop.Kind("known TCP", frame, 1)
    with _between() as index, lb_loop.balancer(kind) as balancer, bpf_object.load(bpf_loop.LOOP) as loop:
        ways = {"ns_live_lb": balancer.program("sn_balance")}
        if _dnat():
            ways["ns_live_nft_dnat"] = loop.program("sn_bench_pass")
        mine = _for_us(frame.data)
        testrun.run(ways["ns_live_lb"], lb_loop.OPENING.data)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, program in ways.items():
                found[name].append(_ns_a_frame(program, mine, index))
    return {name: median(each) for name, each in found.items()}


def _ns_a_frame(program: Program, frame: bytes, index: int) -> float:
    start = time.perf_counter_ns()
    testrun.send(program, frame, FRAMES, interface_index=index)
    return (time.perf_counter_ns() - start) / FRAMES


def _for_us(frame: bytes) -> bytes:
    """To the device's own address, or the stack would let go of it."""
    told = run("ip", "-o", "link", "show", HERE)
    mac = told.partition("link/ether ")[2].split()[0]
    return bytes.fromhex(mac.replace(":", "")) + frame[6:]


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
