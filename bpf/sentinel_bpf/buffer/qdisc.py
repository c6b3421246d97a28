"""Tier A: one BPF queueing discipline for all classes, whose limits are words of mapped memory.

ingress   device ─ clsact ─ sn_classify ─┬─ order live: mirred → ifb ─ sn_buffer2 ─→ stack
                                         └─ lease over: ─────────────────────────→ stack
egress    stack ─ sn_buffer2 ─→ device        (lease over: static limits)
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sentinel_api.errors import SentinelError, Unsupported
from sentinel_bpf import layout, probe
from sentinel_bpf.buffer import detour, discipline, pace, succession
from sentinel_bpf.buffer.plumbing import Plumbing, queue_device
from sentinel_bpf.buffer.port import CLASSES, Interface, QueueClass, Reading, Tier, Toll, Verdict, check_limits
from sentinel_bpf.buffer.standing import Stand, wait_out
from sentinel_bpf.buffer.succession import Succession, left_by_another

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sentinel_bpf.object import Object

POOL_BYTES: Final = 10 << 20  # the default of spec.pool.maxBytes
QUANTUM_BYTES: Final = 3200  # of the class with the largest share: two frames, so that a turn is short
ROOT: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Home:
    """Where the discipline comes from, and where it is pinned for whoever comes after this process."""

    object_path: Path
    pins: Path


class _Queue:
    """The mapped words of one slot; each of the arrays has an entry for each class."""

    def __init__(self, found: discipline.Discipline, slot: int, agent: Object) -> None:
        own = slice(slot * CLASSES, (slot + 1) * CLASSES)
        self.discipline = found
        self.drain: NDArray[Any] = found.map("sn_drains").view(writable=True)[slot : slot + 1]
        self.shares: NDArray[Any] = found.map("sn_shares").view(writable=True)[own]
        self.waits: NDArray[Any] = found.map("sn_waits").view()[own]
        self.told: NDArray[Any] = agent.map("sn_backlog").view()
        self.orders: NDArray[Any] = agent.map("sn_order").view()
        # The queue obeys the leases of this agent from now on, and tells this agent's egress program how full it is.
        found.map("sn_orders").put(slot, agent.map("sn_order").descriptor)
        found.map("sn_backlogs").put(slot, agent.map("sn_backlog").descriptor)


class QdiscBuffer:
    """Lives in the network namespace of the thread that makes it, and takes over what an earlier process left.

    Needs the agent's loaded object: for its orders, and with sn_classify where traffic comes in. A class's share of a
    busy link follows its guaranteed rate; `priority` means nothing in this tier.
    """

    def __init__(self, interface: Interface, agent: Object, home: Home, pool_bytes: int = POOL_BYTES) -> None:
        self._interface = interface
        self._agent = agent
        self._home = home
        self._pool_bytes = pool_bytes
        self._stand = Stand(interface, discipline.KIND, left_by_another)
        self._major = layout.constants(agent.path, "sn_queue_const")["SN_QUEUE_MAJOR"]
        self._queue: _Queue | None = None
        self._configured: frozenset[int] = frozenset()

    def probe(self) -> Verdict:
        choice = probe.tier(probe.probe(), qdisc_built=self._home.object_path.exists())
        if choice.tier != "A":
            return Verdict(Tier(choice.tier), choice.reason)
        with Plumbing(self._major) as plumbing:
            obstacle = self._stand.obstacle(plumbing)
        if obstacle:
            return Verdict(Tier.OBSERVE, obstacle)
        where = f"{self._interface.name} {self._interface.direction.value.lower()}"
        return Verdict(Tier.BPF_QDISC, f"a BPF queue on {where}")

    def configure(self, classes: Sequence[QueueClass]) -> Toll:
        """What stands in a class that goes away is sent; later packets of it land in class 0."""
        self._check(classes)
        toll = Toll()
        try:
            with Plumbing(self._major) as plumbing:
                if self._stand.ingress:
                    self._put_behind(plumbing, classes)
                else:
                    self._put_in_place(plumbing, self._stand.ready(plumbing)[1], classes, toll)
        except SentinelError as failed:
            for each in toll.why:  # what fails returns no toll
                failed.add_note(each)
            raise
        succession.unregister_idle(self._home.pins.parent)
        return toll

    def _put_behind(self, plumbing: Plumbing, classes: Sequence[QueueClass]) -> None:
        """Where traffic comes in, on a device of its own."""
        device = plumbing.index(self._interface.name) or 0
        classify = self._agent.program("sn_classify").descriptor
        with Succession(queue_device(device)) as earlier:
            standing = earlier.next_to_one_aside()
            if standing:  # who set that aside may have died before it moved the redirect
                plumbing.redirect(device, classify, standing)
                earlier.finish(self._home.pins.parent)
            earlier.set_aside()
            device, queue_index = self._stand.ready(plumbing)
            self._made(plumbing, queue_index, classes)
            earlier.inherit()
            plumbing.redirect(device, classify, queue_index)
            earlier.finish(self._home.pins.parent)

    def _put_in_place(self, plumbing: Plumbing, index: int, classes: Sequence[QueueClass], toll: Toll) -> None:
        """As the device's own root."""
        kind, _ = plumbing.root(index)
        if left_by_another(kind):
            self._lay_out(self._opened(index), classes)
            self._take_over(plumbing, index, kind, toll)
        else:
            self._made(plumbing, index, classes)
        self._lead(index)

    def _take_over(self, plumbing: Plumbing, index: int, kind: str, toll: Toll) -> None:
        """The place of another version's queue: nothing is lost that stands in it, nor what comes meanwhile. What fails
        half way leaves the old one as it was, at its old pace."""
        rate = self._interface.rate_bytes_per_s
        with detour.around(self._agent.path.parent, index, rate, toll), self._vacated(plumbing, index, kind, toll):
            try:
                self._add(plumbing, index)
            except SentinelError:
                with suppress(SentinelError):  # the device's own default stands there then
                    plumbing.add_root(index, kind)
                raise
            self._lead(index)

    @contextmanager
    def _vacated(self, plumbing: Plumbing, index: int, kind: str, toll: Toll) -> Iterator[None]:
        """A queue is gone from there, once it has sent what the device took of it within our patience."""
        with pace.lifted(self._home.pins.parent, kind, _spot(index)) as pace_s:
            left = wait_out(lambda: plumbing.waiting(index), pace_s=pace_s)
            self._stand.remove(plumbing, index)
            if left:
                toll.add(left, f"{left} packets still stood in {kind} of {self._interface.name} when it was taken away")
            yield

    def _made(self, plumbing: Plumbing, queue_index: int, classes: Sequence[QueueClass]) -> None:
        self._lay_out(self._opened(queue_index), classes)
        if plumbing.root(queue_index)[1] != self._major:
            self._add(plumbing, queue_index)

    def _lead(self, queue_index: int) -> None:
        """Have sn_egress say the class of what leaves through this device; 0 ends it."""
        self._agent.map("sn_queue_place").put(0, ifindex=queue_index)

    def _add(self, plumbing: Plumbing, queue_index: int) -> None:
        try:
            plumbing.add_root(queue_index, discipline.KIND)
        except SentinelError:
            self._queue = None  # another may have given the discipline up meanwhile: the next try opens it anew
            discipline.give_up(self._home.object_path, self._home.pins, _spot(queue_index))
            raise

    def _check(self, classes: Sequence[QueueClass]) -> None:
        self._stand.check(classes)
        choice = probe.tier(probe.probe(), qdisc_built=self._home.object_path.exists())
        if choice.tier != "A":
            raise Unsupported(choice.reason)

    def _opened(self, queue_index: int) -> _Queue:
        if self._queue is None:
            found = discipline.open_discipline(self._home.object_path, self._home.pins)
            self._queue = _Queue(found, found.slot(_spot(queue_index)), self._agent)
        return self._queue

    def _lay_out(self, queue: _Queue, classes: Sequence[QueueClass]) -> None:
        """A class is there once it has a quantum, so that comes last; and first it goes from those no longer wanted."""
        rate = self._interface.rate_bytes_per_s
        largest = max(1, *(each.guaranteed_bytes_per_s for each in classes))
        queue.drain["rate_Bps"] = rate
        queue.drain["pool_bytes"] = self._pool_bytes
        for gone in set(range(CLASSES)) - {each.id for each in classes}:
            queue.shares["quantum_bytes"][gone] = 0
        for each in classes:
            queue.shares["static_limit_bytes"][each.id] = each.limit_bytes
            queue.shares["limit_bytes"][each.id] = each.limit_bytes
            queue.shares["ceiling_Bps"][each.id] = each.ceiling_bytes_per_s if each.ceiling_bytes_per_s < rate else 0
            quantum = max(1, QUANTUM_BYTES * each.guaranteed_bytes_per_s // largest)
            queue.shares["quantum_bytes"][each.id] = quantum
        self._configured = frozenset(each.id for each in classes)

    def resize(self, limits: Mapping[int, int]) -> None:
        """One store a class into the memory that the kernel reads at the next packet: nothing is left to confirm."""
        check_limits(limits, self._configured)
        if self._queue is None:
            return
        words = self._queue.shares["limit_bytes"]
        for each, limit in limits.items():
            words[each] = limit

    def read(self) -> Mapping[int, Reading]:
        """The limit is the one that holds now: the static one while the class's lease is over."""
        queue = self._queue
        if queue is None:
            return {}
        now = time.monotonic_ns()
        return {each: self._reading(queue, each, now) for each in sorted(self._configured)}

    def _reading(self, queue: _Queue, each: int, now_ns: int) -> Reading:
        told = queue.told[each]
        live = now_ns < queue.orders["valid_until_ns"][each]
        return Reading(
            backlog_bytes=int(told["backlog_bytes"]),
            backlog_packets=int(told["backlog_packets"]),
            limit_bytes=int(queue.shares["limit_bytes" if live else "static_limit_bytes"][each]),
            sent_bytes=int(told["sent_bytes"]),
            sent_packets=int(told["sent_packets"]),
            drops=int(told["drops"]),
            sojourn=tuple(queue.waits["bucket"][each].tolist()),
        )

    def detach(self) -> Toll:
        toll = Toll()
        with Plumbing(self._major) as plumbing:
            found = self._stand.found(plumbing, self._major)
            if found is not None:
                self._take_down(plumbing, *found, toll)
            elif not self._stand.ingress:  # who died before it gave its place up; else that went with its device
                index = plumbing.index(self._interface.name)
                discipline.give_up(self._home.object_path, self._home.pins, _spot(index or 0))
        succession.unregister_idle(self._home.pins.parent)
        self._queue, self._configured = None, frozenset()
        return toll

    def _take_down(self, plumbing: Plumbing, device: int, index: int, toll: Toll) -> None:
        self._lead(0)
        if self._stand.ingress:
            plumbing.stop_redirect(device, index)
        kind, _ = plumbing.root(index)
        with self._vacated(plumbing, index, kind, toll):
            pass
        discipline.give_up(self._home.object_path, self._home.pins, _spot(index))
        if self._stand.ingress:
            with Succession(queue_device(device)) as earlier:
                earlier.finish(self._home.pins.parent)


def _spot(ifindex: int) -> dict[str, int]:
    return {"netns": succession.netns(), "ifindex": ifindex, "parent": ROOT}
