"""Tier B: an HTB class with a leaf of its own for each traffic class, behind a leased redirect where traffic comes in.

ingress   device ─ clsact ─ sn_classify ─┬─ order live: mirred → ifb ─ HTB ─ leaf ─→ stack
                                         └─ lease over: ──────────────────────────→ stack
egress    stack ─ sn_egress ─ HTB ─ leaf ─→ device        (lease over: the last limit stays)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sentinel_api.errors import Transient
from sentinel_bpf.buffer import wire
from sentinel_bpf.buffer.leaves import Leaves
from sentinel_bpf.buffer.plumbing import Plumbing
from sentinel_bpf.buffer.port import UNMATCHED, Interface, QueueClass, Reading, Tier, Toll, Verdict, check_limits
from sentinel_bpf.buffer.standing import Stand, wait_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sentinel_bpf.buffer.programs import QueuePrograms

KIND = "htb"
DRAIN_BYTES_PER_S = 10**11  # a rate that holds nothing back


class HtbBuffer:
    """Lives in the network namespace of the thread that makes it, and takes over what an earlier process left."""

    def __init__(self, interface: Interface, programs: QueuePrograms) -> None:
        self._interface = interface
        self._programs = programs
        self._stand = Stand(interface, KIND)
        self._wire = wire.Rtnl()
        self._leaves = Leaves(self._wire, programs.major)
        self._limits: dict[int, int] = {}
        self._leaving: set[int] = set()  # classes that nobody wants any more, and packets stand in
        self._drops: dict[int, tuple[int, int]] = {}  # class → (last raw 32-bit count, running total)

    def probe(self) -> Verdict:
        with Plumbing(self._programs.major) as plumbing:
            obstacle = self._stand.obstacle(plumbing)
        if obstacle:
            return Verdict(Tier.OBSERVE, obstacle)
        return Verdict(Tier.HTB, f"HTB on {self._interface.name} {self._interface.direction.value.lower()}")

    def configure(self, classes: Sequence[QueueClass]) -> Toll:
        """What stands in a class that goes away is sent, and then it goes; unmatched priorities land in class 0."""
        self._stand.check(classes)
        with Plumbing(self._programs.major) as plumbing:
            device, queue = self._stand.ready(plumbing)
            self._leaves.at(queue, device)
            plumbing.ensure_root(queue, self._minor(UNMATCHED))
            plumbing.ensure_trunk(queue, self._interface.rate_bytes_per_s)
            self._lay_out(plumbing, queue, classes)
            self._programs.watch(queue, Path("/proc/thread-self/ns/net").stat().st_ino)
            if self._stand.ingress:
                plumbing.ensure_guide(queue, self._programs.place_fd)
                plumbing.redirect(device, self._programs.classify_fd, queue)
        return Toll()

    def _lay_out(self, plumbing: Plumbing, queue: int, classes: Sequence[QueueClass]) -> None:
        for each in classes:
            plumbing.ensure_class(queue, self._minor(each.id), each)
        self._leaves.make({self._minor(each.id): each.limit_bytes for each in classes})
        wanted = {each.id: each.limit_bytes for each in classes}
        self._leaving = {minor - self._programs.minor for minor in plumbing.minors(queue)} - wanted.keys()
        self._let_go(plumbing, queue)
        standing = self._leaves.read(map(self._minor, wanted))
        self._limits = {each: standing[self._minor(each)].limit_bytes for each in wanted}
        self.resize(wanted)

    def _let_go(self, plumbing: Plumbing, queue: int) -> None:
        """Remove the classes that were to go and are empty. Nobody sends into them: the rules name them no more."""
        standing = self._leaves.read(map(self._minor, self._leaving))
        for each in sorted(self._leaving):
            leaf = standing.get(self._minor(each))
            if leaf is not None and leaf.backlog_packets:
                continue
            if leaf is not None:
                self._total_drops(each, leaf.drops_low32)
            plumbing.remove_class(queue, self._minor(each))
            self._count_anew([each])
            self._leaving.discard(each)

    def resize(self, limits: Mapping[int, int]) -> None:
        check_limits(limits, self._limits)
        changed = {each: limit for each, limit in limits.items() if limit != self._limits[each]}
        if changed:
            self._set(changed)

    def _set(self, limits: Mapping[int, int]) -> None:
        """What the kernel took of it is known to us even where it refused the rest."""
        found, refused = self._leaves.resize({self._minor(each): limit for each, limit in limits.items()})
        self._limits |= {minor - self._programs.minor: limit for minor, limit in found.items()}
        if refused:
            raise refused
        for each, limit in limits.items():
            has = found.get(self._minor(each), -1)
            if has != limit:
                raise Transient(f"class {each} was to hold {limit} bytes, the kernel says {has}")

    def read(self) -> Mapping[int, Reading]:
        stats = self._leaves.read(map(self._minor, self._limits))
        sojourn = self._programs.sojourn()
        readings = {}
        for each, limit in self._limits.items():
            found = stats.get(self._minor(each))
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
        self._keep_up()
        return readings

    def _keep_up(self) -> None:
        """With what a look finds changed: a class that ran empty, and frames larger than before."""
        if self._leaving:
            with Plumbing(self._programs.major) as plumbing:
                found = self._stand.found(plumbing, self._programs.major)
                if found is not None:
                    self._let_go(plumbing, found[1])
        if self._limits and self._leaves.outgrown():
            self._set(self._limits)

    def _total_drops(self, each: int, raw: int) -> int:
        last, total = self._drops.get(each, (0, 0))
        total += (raw - last) & wire.U32
        self._drops[each] = (raw, total)
        return total

    def _count_anew(self, classes: Iterable[int]) -> None:
        """The kernel begins at zero when one of these is made again; the running totals stay."""
        self._drops |= {each: (0, self._drops[each][1]) for each in classes}

    def detach(self) -> Toll:
        toll = Toll()
        with Plumbing(self._programs.major) as plumbing:
            found = self._stand.found(plumbing, self._programs.major)
            if found is None:
                return toll
            device, queue = found
            self._programs.unwatch()
            if self._stand.ingress:
                plumbing.stop_redirect(device, queue)
            self._drain(plumbing, device, queue, toll)
            self._stand.remove(plumbing, queue)
        self._limits = {}
        self._leaving = set()
        self._count_anew(self._drops)
        return toll

    def _drain(self, plumbing: Plumbing, device: int, queue: int, toll: Toll) -> None:
        plumbing.ensure_trunk(queue, DRAIN_BYTES_PER_S)
        minors = plumbing.minors(queue)
        for minor in minors:
            plumbing.open_class(queue, minor, DRAIN_BYTES_PER_S)
        self._leaves.at(queue, device)  # a process that only detaches was told by nobody
        left = wait_out(lambda: sum(each.backlog_packets for each in self._leaves.read(minors).values()))
        if left:
            toll.add(left, f"{left} packets still stood in the queue of {self._interface.name} when it was taken away")

    def _minor(self, class_id: int) -> int:
        return self._programs.minor + class_id
