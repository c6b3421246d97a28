"""Tier B: an HTB class with a bfifo leaf for each traffic class, behind a leased redirect where traffic comes in.

ingress   device ─ clsact ─ sn_classify ─┬─ order live: mirred → ifb ─ HTB ─ bfifo ─→ stack
                                         └─ lease over: ──────────────────────────→ stack
egress    stack ─ sn_egress ─ HTB ─ bfifo ─→ device        (lease over: the last limit stays)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sentinel_api.errors import Transient
from sentinel_bpf.buffer import wire
from sentinel_bpf.buffer.plumbing import Plumbing
from sentinel_bpf.buffer.port import UNMATCHED, Interface, QueueClass, Reading, Tier, Verdict, check_limits
from sentinel_bpf.buffer.standing import Stand, wait_while

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sentinel_bpf.buffer.programs import QueuePrograms

KIND = "htb"
DRAIN_BYTES_PER_S = 10**11  # a rate that holds nothing back
U32 = 0xFFFFFFFF


class HtbBuffer:
    """Lives in the network namespace of the thread that makes it, and takes over what an earlier process left."""

    def __init__(self, interface: Interface, programs: QueuePrograms) -> None:
        self._interface = interface
        self._programs = programs
        self._stand = Stand(interface, KIND)
        self._wire = wire.Rtnl()
        self._limits: dict[int, int] = {}
        self._queue_index = 0
        self._drops: dict[int, tuple[int, int]] = {}  # class → (last raw 32-bit count, running total)

    def probe(self) -> Verdict:
        with Plumbing(self._programs.major) as plumbing:
            obstacle = self._stand.obstacle(plumbing)
        if obstacle:
            return Verdict(Tier.OBSERVE, obstacle)
        return Verdict(Tier.HTB, f"HTB and bfifo on {self._interface.name} {self._interface.direction.value.lower()}")

    def configure(self, classes: Sequence[QueueClass]) -> None:
        """A class that goes away loses what stands in it; unmatched priorities land in class 0."""
        self._stand.check(classes)
        with Plumbing(self._programs.major) as plumbing:
            device, self._queue_index = self._stand.ready(plumbing)
            plumbing.ensure_root(self._queue_index, self._minor(UNMATCHED))
            plumbing.ensure_trunk(self._queue_index, self._interface.rate_bytes_per_s)
            self._lay_out(plumbing, classes)
            self._programs.watch(self._queue_index, Path("/proc/thread-self/ns/net").stat().st_ino)
            if self._stand.ingress:
                plumbing.redirect(device, self._programs.classify_fd, self._queue_index)

    def _lay_out(self, plumbing: Plumbing, classes: Sequence[QueueClass]) -> None:
        queue = self._queue_index
        gone = plumbing.minors(queue) - {self._minor(each.id) for each in classes}
        for each in classes:
            plumbing.ensure_class(queue, self._minor(each.id), each)
        standing = plumbing.leaf_limits(queue)
        for each in classes:
            if self._minor(each.id) not in standing:
                plumbing.add_leaf(queue, self._minor(each.id), self._leaf(each.id), each.limit_bytes)
        for minor in sorted(gone):
            plumbing.remove_class(queue, minor)
        self._count_anew(each for each in self._drops if self._minor(each) in gone)
        found = plumbing.leaf_limits(queue)
        self._limits = {each.id: found.get(self._minor(each.id), -1) for each in classes}
        self.resize({each.id: each.limit_bytes for each in classes})

    def resize(self, limits: Mapping[int, int]) -> None:
        check_limits(limits, self._limits)
        changed = {each: limit for each, limit in limits.items() if limit != self._limits[each]}
        if not changed:
            return
        echoed = self._wire.change(
            [
                wire.fifo_limit(self._queue_index, self._handle(each), self._leaf(each), limit)
                for each, limit in changed.items()
            ]
        )
        for each, limit in changed.items():
            answer = echoed.get(self._handle(each))
            has = int.from_bytes(answer.attributes.get(wire.TCA_OPTIONS, b"")[:4], "little") if answer else -1
            if has != limit:
                raise Transient(f"class {each} was to hold {limit} bytes, the kernel says {has}")
            self._limits[each] = limit

    def read(self) -> Mapping[int, Reading]:
        stats = {each.handle: each for each in self._wire.classes(self._queue_index)} if self._limits else {}
        sojourn = self._programs.sojourn()
        readings = {}
        for each, limit in self._limits.items():
            found = stats.get(self._handle(each))
            if found is None:
                self._programs.unwatch()  # what stands there now would read something else out of our class
                raise Transient(f"class {each} is gone from the queue; somebody removed it")
            readings[each] = Reading(
                backlog_bytes=found.backlog_bytes,
                backlog_packets=found.backlog_packets,
                limit_bytes=limit,
                sent_bytes=found.sent_bytes,
                sent_packets=found.sent_packets,
                drops=self._total_drops(each, found.drops_low32),
                sojourn=sojourn[each],
            )
        self._programs.tell(readings)
        return readings

    def _total_drops(self, each: int, raw: int) -> int:
        last, total = self._drops.get(each, (0, 0))
        total += (raw - last) & U32
        self._drops[each] = (raw, total)
        return total

    def _count_anew(self, classes: Iterable[int]) -> None:
        """The kernel begins at zero when one of these is made again; the running totals stay."""
        self._drops |= {each: (0, self._drops[each][1]) for each in classes}

    def detach(self) -> None:
        with Plumbing(self._programs.major) as plumbing:
            found = self._stand.found(plumbing, self._programs.major)
            if found is None:
                return
            device, queue = found
            self._programs.unwatch()
            if self._stand.ingress:
                plumbing.stop_redirect(device, queue)
            self._drain(plumbing, queue)
            self._stand.remove(plumbing, queue)
        self._limits = {}
        self._count_anew(self._drops)

    def _drain(self, plumbing: Plumbing, queue: int) -> None:
        plumbing.ensure_trunk(queue, DRAIN_BYTES_PER_S)
        for minor in plumbing.minors(queue):
            plumbing.open_class(queue, minor, DRAIN_BYTES_PER_S)
        wait_while(lambda: any(each.backlog_packets for each in self._wire.classes(queue)))

    def _minor(self, class_id: int) -> int:
        return self._programs.minor + class_id

    def _handle(self, class_id: int) -> int:
        return self._programs.major << 16 | self._minor(class_id)

    def _leaf(self, class_id: int) -> int:
        return (self._programs.major + 1 + class_id) << 16
