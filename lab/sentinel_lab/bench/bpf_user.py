"""The same work without BPF: an AF_PACKET reader that parses and counts, and the data plane, on cables of one kind."""

from __future__ import annotations

import ctypes
import functools
import os
import socket
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.errors import Invalid, Transient
from sentinel_bpf import attach, pins
from sentinel_bpf import object as bpf_object
from sentinel_bpf.buffer.port import CLASSES
from sentinel_bpf.probe import BPFFS
from sentinel_lab.bench.bpf_loop import ALL, LOOP, staged
from sentinel_lab.namespaces import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.bench.bpf_frames import Frame

LIBRARY: Final = LOOP.parent / "user.so"
NOTHING, DROPPING, PASSING = "nothing", "XDP that only drops", "XDP that only passes"
KERNEL, USER = "sn_ingress, all stages", "AF_PACKET reader"
SIDES: Final = (NOTHING, DROPPING, PASSING, KERNEL, USER)
FLOWS, BURST = 4096, 64
FLOOD_BURSTS = 150
PACE_GAP_NS = 50_000
TRIPS = 200
LOST_NS = (1 << 64) - 1


class Spent(ctypes.Structure):
    """What a thread used: `struct sn_user_spent`."""

    _fields_ = (("cpu_ns", ctypes.c_uint64), ("waits", ctypes.c_uint64), ("preemptions", ctypes.c_uint64))


@functools.cache
def library() -> ctypes.CDLL:
    if not LIBRARY.exists():
        raise Invalid("the reader without BPF is not built: run `make -C bpf bench`")
    loaded = ctypes.CDLL(str(LIBRARY), use_errno=True)
    pointer, number, wide = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
    for name, result, arguments in (
        ("sn_user_open", pointer, (ctypes.c_int,)),
        ("sn_user_close", None, (pointer,)),
        ("sn_user_live", None, (pointer, pointer)),
        ("sn_user_flood", wide, (ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_int, number, number)),
        ("sn_user_pace", wide, (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, number, wide, number, pointer)),
        ("sn_user_trips", None, (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, pointer, pointer, number)),
    ):
        function: Any = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


@dataclass(frozen=True, slots=True)
class Side:
    """One cable: its near end, and what waits at the far one."""

    name: str
    near: socket.socket
    far_index: int
    cells: Any = None

    def counted(self) -> int:
        return int(self.cells["packets"].sum())


class Comparison:
    def __init__(self, sides: dict[str, Side], frame: Frame) -> None:
        self._sides, self._frame = sides, frame

    def flood_ns(self, rounds: int) -> dict[str, list[float]]:
        """CPU a packet in one thread that sends as fast as it can and, on the reader's side, reads."""
        kept: dict[str, list[float]] = {name: [] for name in self._sides}
        with self._reader() as reader:
            for _ in range(rounds):
                for name, side in self._sides.items():
                    kept[name].append(self._flood(side, reader if name == USER else None))
        return kept

    def paced(self, rounds: int, packets: int) -> dict[str, dict[str, float]]:
        """Percent of a CPU and context switches a second at a fixed rate, sender and reader in threads of their own."""
        kept: dict[str, list[tuple[float, float]]] = {name: [] for name in self._sides}
        for _ in range(rounds):
            for name, side in self._sides.items():
                kept[name].append(self._pace(side, packets))
        return {
            name: {"cpu_percent": median(cpu for cpu, _ in each), "switches_per_s": median(s for _, s in each)}
            for name, each in kept.items()
        }

    def trips_us(self) -> dict[str, tuple[float, float]]:
        """From the call that sends a frame until it is counted: p50 and p99."""
        kernel, found = self._sides[KERNEL], {}
        cells = kernel.cells
        cpu = max(os.sched_getaffinity(0))
        class_id = int(np.argmax(cells["packets"].reshape(-1, CLASSES).sum(axis=0)))
        place = cells["packets"][cpu * CLASSES + class_id :].ctypes.data
        found[KERNEL] = self._trips(kernel, place)
        with self._living_reader() as (reader, _):
            found[USER] = self._trips(self._sides[USER], reader)
        return found

    def _flood(self, side: Side, reader: int | None) -> float:
        before = side.counted() if side.cells is not None else 0
        data = self._frame.data
        spent = library().sn_user_flood(side.near.fileno(), reader, data, len(data), FLOWS, FLOOD_BURSTS)
        packets = FLOOD_BURSTS * BURST
        if not spent or (side.cells is not None and side.counted() - before < packets):
            raise Transient(f"packets were lost in front of {side.name}; run the benchmark again")
        return float(spent) / packets

    def _pace(self, side: Side, packets: int) -> tuple[float, float]:
        spent, data = Spent(), self._frame.data
        wall_ns = packets * PACE_GAP_NS

        def sent() -> None:
            done = library().sn_user_pace(
                side.near.fileno(), data, len(data), FLOWS, PACE_GAP_NS, packets, ctypes.byref(spent)
            )
            if done != packets:
                raise Transient(f"{packets - done} packets could not be sent; run the benchmark again")

        if side.name != USER:
            sent()
            return 100 * spent.cpu_ns / wall_ns, 1e9 * spent.waits / wall_ns
        with self._living_reader() as (_, reading):
            sent()
        return 100 * (spent.cpu_ns + reading.cpu_ns) / wall_ns, 1e9 * (spent.waits + reading.waits) / wall_ns

    def _trips(self, side: Side, counter: int) -> tuple[float, float]:
        trips, data = np.zeros(TRIPS, np.uint64), self._frame.data
        library().sn_user_trips(side.near.fileno(), data, len(data), counter, trips.ctypes.data, TRIPS)
        if (trips == LOST_NS).any():
            raise Transient(f"a packet was never counted by {side.name}; run the benchmark again")
        return float(np.median(trips)) / 1000, float(np.percentile(trips, 99)) / 1000

    @contextmanager
    def _reader(self) -> Iterator[int]:
        opened = library().sn_user_open(self._sides[USER].far_index)
        if not opened:
            raise Transient("a packet ring could not be had; run the benchmark again")
        try:
            yield opened
        finally:
            library().sn_user_close(opened)

    @contextmanager
    def _living_reader(self) -> Iterator[tuple[int, Spent]]:
        """In a thread that sleeps until frames wait, on any CPU; what it used is known when the block has ended."""
        used, everywhere = Spent(), set(range(os.cpu_count() or 1))
        with self._reader() as reader:

            def live() -> None:
                os.sched_setaffinity(0, everywhere)
                library().sn_user_live(reader, ctypes.byref(used))

            thread = threading.Thread(target=live)
            thread.start()
            try:
                yield reader, used
            finally:
                ctypes.c_uint64.from_address(reader + 8).value = 1  # sn_user.stop
                thread.join()


@contextmanager
def compared(frame: Frame) -> Iterator[Comparison]:
    """In a namespace of its own: one cable a side. Sockets live there whichever namespace the thread is in."""
    library()
    space = Namespace("bench", os.getpid())
    space.create()
    with ExitStack() as stack:
        stack.callback(space.remove)
        stack.enter_context(space.entered())
        pins.mount()
        where = pins.folder(BPFFS, f"lab-{os.getpid()}", bpf_object.ABI_VERSION)
        stack.callback(where.parent.rmdir)  # the last pin takes its own folder with it
        loaded = stack.enter_context(bpf_object.load(LOOP))
        agent = stack.enter_context(staged(ALL))
        programs = {
            DROPPING: loaded.program("sn_bench_drop"),
            PASSING: loaded.program("sn_bench_pass"),
            KERNEL: agent.program("sn_ingress"),
        }
        sides = {}
        for index, name in enumerate(SIDES):
            near = stack.enter_context(_cable(space, index))
            far = f"far{index}"
            if name in programs:
                pin = where / f"link_{far}"
                attach.attach(programs[name], far, attach.Hook.XDP, pin)
                stack.callback(attach.detach, pin)
            cells = agent.map("sn_cells").view() if name == KERNEL else None
            sides[name] = Side(name, near, socket.if_nametoindex(far), cells)
        yield Comparison(sides, frame)


def _cable(space: Namespace, index: int) -> socket.socket:
    """Its near end, open for sending; without IPv6, so that nothing else is on it."""
    space.ip("link", "add", f"near{index}", "type", "veth", "peer", "name", f"far{index}")
    for end in (f"near{index}", f"far{index}"):
        space.ip("link", "set", end, "addrgenmode", "none", "up")
    near = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    near.bind((f"near{index}", 0))
    return near
