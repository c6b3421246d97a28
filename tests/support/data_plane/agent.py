"""The agent's data plane under test: the shipped object, loaded without an interface, with doors to all it keeps."""

import time
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from sentinel_bpf import layout, maps, ruleset, testrun
from sentinel_bpf.agent import load_agent
from support import frames

OBJECT: Final = Path(__file__).parents[3] / "bpf" / "build" / "agent.bpf.o"
HOUR_NS: Final = 3_600_000_000_000
CPUS: Final = maps.cpus()

XDP_DROP, XDP_PASS, XDP_TX = 1, 2, 3
CLASSES: Final = 16
OTHERS: Final = frozenset({"sn_queue_place", "sn_sojourn"})  # of the queue, which no program here touches
ONE: Final = 65536
POLICE, MARK, QUEUE = 1, 2, 4
MAY_TUNNEL, MAY_PROBE = 1, 2

SCRATCH = "sn_fresh"  # per CPU, written whole before it is read, and no entry of an array can be deleted


class DataPlane:
    """`switches` are load-time constants; `sizes` replace the number of entries of maps."""

    def __init__(self, program: str = "sn_ingress", sizes: dict[str, int] | None = None, **switches: int) -> None:
        self.object = load_agent(OBJECT, rodata=switches, max_entries=sizes, programs=frozenset([program]))
        self.program = self.object.program(program)
        self.rules = ruleset.RuleSet(self.object)
        self.reason_names = {
            number: name.removeprefix("SN_REASON_") for name, number in layout.constants(OBJECT, "sn_reason").items()
        }

    def forget(self) -> None:
        """Empty every map: as good as a fresh load, and a hundred times faster."""
        for name, each in self.object.maps.items():
            if name.startswith(".") or name in OTHERS:
                continue
            if each.shape.kind == maps.ARRAY:
                each.view(writable=True)[...] = np.zeros((), each.value)
            elif name != SCRATCH:
                for key in list(each.keys()):
                    each.delete(key)

    def run(self, frame: bytes, repeat: int = 1) -> tuple[int, bytes]:
        """Verdict and bytes, as the next in line gets them."""
        ran = testrun.run(self.program, frame, repeat=repeat)
        return ran.action, ran.data

    def send(self, frame: bytes, repeat: int = 1) -> tuple[int, bytes]:
        """The same of the egress program."""
        ran = testrun.run_tc(self.program, frame, repeat=repeat)
        return ran.action, ran.data

    def meta(self, frame: bytes) -> bytes:
        return testrun.run(self.program, frame).meta

    @cached_property
    def _reasons(self) -> Any:
        return self.object.map("sn_reasons").view()

    @cached_property
    def _cells(self) -> Any:
        return self.object.map("sn_cells").view()

    @cached_property
    def _shapes(self) -> Any:
        return self.object.map("sn_shapes").view()

    @cached_property
    def orders(self) -> Any:
        return self.object.map("sn_order").view(writable=True)

    @cached_property
    def queues(self) -> Any:
        return self.object.map("sn_vqueues").view(writable=True)

    def reasons(self) -> Counter[str]:
        """How many packets left for which reason."""
        totals = self._reasons["packets"].reshape(CPUS, -1).sum(axis=0)
        return Counter({self.reason_names[i]: int(n) for i, n in enumerate(totals) if n})

    def cell(self, class_id: int = 0) -> dict[str, int]:
        """The class's counters, summed over CPUs."""
        mine = self._cells[class_id::CLASSES]
        return {name: int(mine[name].sum()) for name in mine.dtype.names if not name.startswith("_")}

    def out_cell(self, class_id: int = 0) -> dict[str, int]:
        mine = self.object.map("sn_out_cells").view()[class_id::CLASSES]
        return {name: int(mine[name].sum()) for name in mine.dtype.names if not name.startswith("_")}

    def shape(self, class_id: int, name: str) -> list[int]:
        return [int(n) for n in self._shapes[name][class_id::CLASSES].sum(axis=0)]

    def order(self, class_id: int = 0, *, lease_ns: int = HOUR_NS, **fields: int) -> None:
        """A live order unless said otherwise; without a rate it asks for nothing."""
        until = time.monotonic_ns() + lease_ns
        self.object.map("sn_order").put(class_id, valid_until_ns=until, **fields)

    def always(self, class_id: int = 0, *, flags: int = POLICE | MARK) -> None:
        """An order under which every packet is signalled: full probability that no step will change."""
        self.order(class_id, drain_Bps=10**9, max_bytes=1 << 40, target_us=1000, flags=flags)
        self.queues["probability"][class_id] = ONE
        self.queues["stepped_ns"][class_id] = (1 << 63) - 1

    def allow(self, prefix: str, rights: int) -> None:
        address, _, bits = prefix.partition("/")
        raw = frames.packed(address)
        mapped = raw if len(raw) == 16 else bytes(10) + b"\xff\xff" + raw
        key = {"length": int(bits) + 128 - 8 * len(raw), "address": np.frombuffer(mapped, np.uint8)}
        self.object.map("sn_peers").put(key, rights=rights)

    def flows(self) -> list[tuple[Any, Any]]:
        keys, values = self.object.map("sn_flows").dump()
        return list(zip(keys, values, strict=True))

    def flow(self) -> Any:
        """The only flow there is."""
        (found,) = self.flows()
        return found[1]

    def verified_instructions(self) -> int:
        return self.program.verified_instructions()
