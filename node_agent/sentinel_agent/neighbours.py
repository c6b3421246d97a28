"""The mesh's words as hints for this node's decisions, and which of its own bursts neighbours should know of."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog

from sentinel_agent.hints import Hints
from sentinel_api.errors import Transient
from sentinel_api.records import CLASSES
from sentinel_core.allocate import LEAD_SECONDS, LIKELY
from sentinel_core.neighbours import Neighbours, Told
from sentinel_core.signature import MAGNITUDE_LEVELS
from sentinel_mesh.mesh import Burst

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from sentinel_agent.tick import LaneTick, Tick
    from sentinel_api.records import Share
    from sentinel_mesh.alarms import HeardAlarm
    from sentinel_mesh.mesh import Mesh

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

P50: Final = MAGNITUDE_LEVELS.index(0.5)
KEPT: Final = 8  # ticks that wait while the engine does not take an alarm; older ones are no news
QUIET_NS: Final = 2_000_000_000
"""A class is told of once in so long: what bursts on is known."""

log = structlog.get_logger()


class Listener:
    """Called once a tick, by the tick's thread: alarms are believed as far as such alarms were right before."""

    def __init__(self, mesh: Mesh[Any], node: str) -> None:
        self._mesh = mesh
        self._node = node
        self._learned = Neighbours(CLASSES)
        self._heard_ns = 0

    def __call__(self, began: Bools, now_ns: int) -> Hints:
        word = self._learned.step(self._news(), began, now_ns)
        return Hints(word.sign, announced(self._mesh.shares(), self._node), word)

    def _news(self) -> list[Told]:
        """Each alarm once."""
        heard = [each for each in self._mesh.alarms() if each.heard_ns > self._heard_ns]
        self._heard_ns = max((each.heard_ns for each in heard), default=self._heard_ns)
        return [_told(each) for each in heard]


def _told(heard: HeardAlarm) -> Told:
    alarm = heard.alarm
    onset_ns = heard.heard_ns + alarm.onset_in_ms * 10**6
    return Told(alarm.origin, alarm.traffic_class, onset_ns, alarm.magnitude_bytes, alarm.confidence)


def announced(shares: Mapping[str, Share], node: str) -> Floats:
    """Bytes per second by class; every balancer sends its own part, so their intentions add up."""
    found = np.zeros(CLASSES)
    for share in shares.values():
        if node in share.intended:
            found += share.intended[node]
    return found


def bursts(tick: Tick) -> Iterator[Burst]:
    """What is seen here or foretold by a trusted forecast. What only neighbours told is not told on: two nodes would
    keep each other alarmed for ever."""
    for lane in tick.lanes:
        severity = replace(lane.signs, alarm=np.zeros(CLASSES)).warning
        chance = lane.forecast.burst_within(LEAD_SECONDS) * lane.marks.trusted
        onset_s = lane.forecast.seconds_to_burst()
        for each in lane.names:
            if lane.began[each]:
                yield Burst(each, _excess(lane, each), confidence=1.0)
            elif chance[each] >= LIKELY:
                magnitude = int(lane.forecast.magnitude_bytes[each, P50])
                yield Burst(each, magnitude, float(chance[each]), int(onset_s[each] * 1000))
            elif severity[each] > 0:
                yield Burst(each, _excess(lane, each), float(severity[each]))


def _excess(lane: LaneTick, each: int) -> int:
    """Bytes that come in a second beyond what drains, and what waits already."""
    beyond = lane.observed.sample.per_second("bytes")[each] - lane.observed.drain_bps[each]
    return int(max(beyond, 0.0)) + int(lane.observed.sample.backlog_bytes[each])


class Alarmist:
    """Tells neighbours from a thread of its own; whoever offers a tick leaves one reference and goes on."""

    def __init__(self, mesh: Mesh[Any]) -> None:
        self._mesh = mesh
        self._ticks: deque[Tick] = deque(maxlen=KEPT)
        self._told_ns: dict[int, int] = {}
        self._offered = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarm", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, tick: Tick) -> None:
        self._ticks.append(tick)
        self._offered.set()

    def stop(self) -> None:
        self._ended.set()
        self._offered.set()
        self._thread.join()

    def _run(self) -> None:
        while self._offered.wait() and not self._ended.is_set():
            self._offered.clear()
            while self._ticks:
                self._tell(self._ticks.popleft())

    def _tell(self, tick: Tick) -> None:
        for burst in bursts(tick):
            if tick.at_ns - self._told_ns.get(burst.traffic_class, -QUIET_NS) < QUIET_NS:
                continue
            try:
                self._mesh.alarm(burst)
            except Transient as error:
                log.info("alarm_unsent", error=str(error))
                return
            self._told_ns[burst.traffic_class] = tick.at_ns
