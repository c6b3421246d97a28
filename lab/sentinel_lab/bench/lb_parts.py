"""What a packet pays for what it asks of the kernel: a lookup, the clock, room for a header; each by itself."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from sentinel_bpf import layout, testrun
from sentinel_bpf import object as bpf_object
from sentinel_lab.dataplane import OBJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS: Final = OBJECT.parent / "bench" / "parts.bpf.o"
FRAME: Final = bytes(128)
RUNS: Final = 512
MANY, MOST = 4096, 65_536
NOTHING: Final = ("NOTHING", 1)
ASKED: Final[Mapping[str, tuple[str, int]]] = {
    "part_ns_array": ("ARRAY", 1024),
    "part_ns_address": ("HASH", 1),
    "part_ns_flow_1": ("TABLE", 1),
    "part_ns_flow_4k": ("TABLE", MANY),
    "part_ns_flow_64k": ("TABLE", MOST),
    "part_ns_clock": ("CLOCK", 1),
    "part_ns_ticks": ("TICKS", 1),
    "part_ns_head": ("HEAD", 1),
}
"""A metric for each: what is asked, of how many flows in turn."""


def parts(rounds: int) -> dict[str, float]:
    """The median of the rounds, nanoseconds; the loop itself is subtracted."""
    bare = _timed(*NOTHING, rounds)
    found = {name: max(0.0, _timed(what, flows, rounds) - bare) for name, (what, flows) in ASKED.items()}
    return found | {"part_ns_head": found["part_ns_head"] / 2}  # made and taken back


def _timed(what: str, flows: int, rounds: int) -> float:
    kinds, times = (layout.constants(PARTS, name) for name in ("sn_part", "sn_part_const"))
    rodata = {"sn_part": kinds[f"SN_PART_{what}"], "sn_part_mask": flows - 1}
    runs = max(RUNS, flows // times["SN_PART_TIMES"])
    with bpf_object.load(PARTS, bpf_object.Options(rodata=rodata)) as loaded:
        state = loaded.map("sn_part_state").view(writable=True)
        testrun.run(loaded.program("sn_parts_fill"), FRAME, repeat=max(1, flows // times["SN_PART_TIMES"]))
        took_ns = []
        for _ in range(rounds + 1):
            state["took_ns"][0] = 0
            testrun.run(loaded.program("sn_parts"), FRAME, repeat=runs)
            took_ns.append(int(state["took_ns"][0]) / runs / times["SN_PART_TIMES"])
    return median(took_ns[1:])  # the first only warms caches
