"""A thin control loop around the product's data plane, for policies that are not the product's own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from sentinel_lab.dataplane import attached, queue_classes
from sentinel_lab.history import Event, History, Tick
from sentinel_lab.namespaces import go_first
from sentinel_lab.policies import Seen
from sentinel_lab.topology import NODE_DEVICE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sentinel_lab.dataplane import DataPlane
    from sentinel_lab.namespaces import Namespace
    from sentinel_lab.policies import Policy
    from sentinel_lab.scenario import Scenario

READY_SECONDS = 120
BEAT_NS = 100_000_000
"""A rule that looks more seldom is watched so often all the same: its orders outlive the time between two looks, and
what its queues held is sampled as finely as everybody's."""
UNMATCHED_SHARE = 0.05
UNMATCHED_BYTES = 64 * 1024


class ThinLoop:
    """Inside `with` it controls the node from a thread of its own; `check` tells how it is."""

    def __init__(self, node: Namespace, scenario: Scenario, policy: Policy) -> None:
        self.history = History()
        self._node = node
        self._scenario = scenario
        self._policy = policy
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._beat_ns = min(BEAT_NS, round(policy.period_s * 1e9))
        self._beats = max(1, round(policy.period_s * 1e9 / self._beat_ns))  # from one look to the next
        self._start_ns: int | None = None
        self._looked: int | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="thin-loop", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(READY_SECONDS)
        self.check()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            self.check()

    def begin(self, start_ns: int) -> None:
        """The first packet is due then; until it is known the policy is not asked, and all stand where all start."""
        self._start_ns = start_ns

    def check(self) -> None:
        """Raises what ended the loop early; without asking, a dead loop looks like a queue that never moves."""
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        scenario = self._scenario
        udp = {each.port: each.id for each in scenario.classes if each.kind == "udp"}
        tcp = {each.port: each.id for each in scenario.classes if each.kind == "bulk" or each.flood}
        try:
            with self._node.entered(), attached(NODE_DEVICE, scenario.drain_bytes_per_s, udp, tcp) as plane:
                self._prepare(plane)
                self._ready.set()
                go_first()
                self._keep_time(plane)
        except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits for this one
            self._failure = failure
        finally:
            self._ready.set()

    def _prepare(self, plane: DataPlane) -> None:
        scenario = self._scenario
        limits = {0: UNMATCHED_BYTES} | scenario.start_limits()
        shares = {0: UNMATCHED_SHARE} | {each.id: each.guaranteed_share for each in scenario.classes}
        plane.buffer.configure(queue_classes(limits, shares, scenario.drain_bytes_per_s))

    def _keep_time(self, plane: DataPlane) -> None:
        due_ns = self.history.beat_ns = time.monotonic_ns()
        while not self._stop.is_set():
            self._tick(plane, due_ns)
            due_ns += self._beat_ns
            late_ns = time.monotonic_ns() - due_ns
            if late_ns > 0:
                self.history.late_ticks += 1
                due_ns += late_ns // self._beat_ns * self._beat_ns
            self._stop.wait(max(0, -late_ns) / 1e9)

    def _tick(self, plane: DataPlane, due_ns: int) -> None:
        arrived, readings, now_ns = plane.arrived(), plane.buffer.read(), time.monotonic_ns()
        for each, reading in readings.items():
            packets, octets, past_queue = arrived[each]
            self.history.add(
                each,
                Tick(
                    now_ns,
                    reading.limit_bytes,
                    reading.backlog_bytes,
                    packets,
                    octets,
                    reading.sent_bytes,
                    reading.drops,
                    past_queue,
                    reading.sojourn,
                ),
            )
        now = {each: reading.limit_bytes for each, reading in readings.items()}
        wanted = self._wanted(due_ns)
        moved = {each: limit for each, limit in wanted.items() if limit != now[each]}
        if moved:
            plane.buffer.resize(moved)
            self._tell(now_ns, now, moved)
        plane.renew(now | moved, self._scenario.drain_bytes_per_s)

    def _wanted(self, due_ns: int) -> Mapping[int, int]:
        """What the rule answers, if it is to look now: the last beat before the first packet is a look of all rules."""
        if self._start_ns is None:
            return {}
        look = ((due_ns - self._start_ns) // self._beat_ns + 1) // self._beats
        if look == self._looked:
            return {}
        self._looked = look
        start_ns, beats = self._start_ns, self._beats
        seen = {each.id: _added(self.history.of(each.id), start_ns, beats) for each in self._scenario.classes}
        return self._policy.limits(seen)

    def _tell(self, now_ns: int, old: Mapping[int, int], moved: Mapping[int, int]) -> None:
        names = {each.id: each.name for each in self._scenario.classes}
        for each, new in moved.items():
            verb = "room made" if new > old[each] else "room given back"
            self.history.events.append(
                Event(now_ns, f"{verb} for {names[each]}: {old[each] // 1024} → {new // 1024} KiB")
            )


def _added(ticks: Sequence[Tick], start_ns: int, beats: int) -> Seen:
    """On a clock that is zero at the start of the run, on which a predictor's past joins on without a gap."""
    now, before = ticks[-1], ticks[max(-len(ticks), -1 - beats)]
    return Seen(
        now_ns=now.at_ns - start_ns,
        elapsed_s=max(1e-6, (now.at_ns - before.at_ns) / 1e9),
        backlog_bytes=now.backlog_bytes,
        limit_bytes=now.limit_bytes,
        arrived_bytes=now.arrived_bytes - before.arrived_bytes,
        drained_bytes=now.sent_bytes - before.sent_bytes,
        dropped_packets=now.drops - before.drops,
        arrived_packets=now.arrived_packets - before.arrived_packets,
    )
