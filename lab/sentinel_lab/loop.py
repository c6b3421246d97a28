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
    from sentinel_lab.dataplane import DataPlane
    from sentinel_lab.namespaces import Namespace
    from sentinel_lab.policies import Policy
    from sentinel_lab.scenario import Scenario

READY_SECONDS = 30
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

    def check(self) -> None:
        """Raises what ended the loop early; without asking, a dead loop looks like a queue that never moves."""
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        scenario = self._scenario
        ports = {each.port: each.id for each in scenario.classes}
        try:
            with self._node.entered(), attached(NODE_DEVICE, scenario.drain_bytes_per_s, ports) as plane:
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
        limits = {0: UNMATCHED_BYTES}
        limits |= {each.id: _start(scenario, each.resizable) for each in scenario.classes}
        shares = {0: UNMATCHED_SHARE} | {each.id: each.guaranteed_share for each in scenario.classes}
        plane.buffer.configure(queue_classes(limits, shares, scenario.drain_bytes_per_s))

    def _keep_time(self, plane: DataPlane) -> None:
        period_ns = int(self._policy.period_s * 1e9)
        due_ns = time.monotonic_ns()
        while not self._stop.is_set():
            self._tick(plane)
            due_ns += period_ns
            late_ns = time.monotonic_ns() - due_ns
            if late_ns > 0:
                self.history.late_ticks += 1
                due_ns += late_ns // period_ns * period_ns
            self._stop.wait(max(0, -late_ns) / 1e9)

    def _tick(self, plane: DataPlane) -> None:
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
        wanted = self._policy.limit(self._seen())
        limits = {each: reading.limit_bytes for each, reading in readings.items()}
        bursty = self._scenario.bursty.id
        if wanted != limits[bursty]:
            plane.buffer.resize({bursty: wanted})
            self._tell(now_ns, limits[bursty], wanted)
        plane.renew(limits | {bursty: wanted}, self._scenario.drain_bytes_per_s)

    def _seen(self) -> Seen:
        ticks = self.history.of(self._scenario.bursty.id)
        now, before = ticks[-1], ticks[-2] if len(ticks) > 1 else ticks[-1]
        return Seen(
            now_ns=now.at_ns,
            elapsed_s=max(1e-6, (now.at_ns - before.at_ns) / 1e9),
            backlog_bytes=now.backlog_bytes,
            limit_bytes=now.limit_bytes,
            arrived_bytes=now.arrived_bytes - before.arrived_bytes,
            drained_bytes=now.sent_bytes - before.sent_bytes,
            dropped_packets=now.drops - before.drops,
        )

    def _tell(self, now_ns: int, old: int, new: int) -> None:
        verb = "room made" if new > old else "room given back"
        self.history.events.append(Event(now_ns, f"{verb}: {old // 1024} → {new // 1024} KiB"))


def _start(scenario: Scenario, resizable: bool) -> int:
    return scenario.floor_bytes if resizable else scenario.bystander_bytes
