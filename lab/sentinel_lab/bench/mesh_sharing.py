"""What neighbours' alarms are worth: three nodes in virtual time under the product's code, with and without sharing.

The nodes' bursts either follow each other by one to three seconds, or have nothing to do with each other. Alarms travel
as the bytes of the mesh and are heard by the product's own `Alarms`; only the wires between the nodes are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_agent.predict.schedule import Schedule
from sentinel_api.records import CLASSES, Alarm
from sentinel_api.wire import pack_alarm
from sentinel_core.neighbours import Neighbours, Told, informed
from sentinel_lab.policies.product import Predictive
from sentinel_lab.scenario import SINGLE
from sentinel_lab.sim.run import Lane, simulate
from sentinel_lab.sim.traffic import Traffic
from sentinel_mesh.alarms import Alarms
from sentinel_mesh.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sentinel_core.room import Outlook
    from sentinel_core.sample import Sample

    Floats = NDArray[np.float64]

STEP_S: Final = 0.005
NODES: Final = ("first", "second", "third")
BURST_S: Final = 1.5
BURST_FRAMES_PER_S: Final = 10_000
CALM_FRAMES_PER_S: Final = 500
GAP_S: Final = (125.0, 140.0)
"""Longer than a node remembers how its queue grew: before that it keeps enough free by itself, and needs nobody."""
FIRST_S: Final = 10.0
"""The first comes no earlier, and within a gap's uncertainty: it is what later ones are learned from."""
LAG_S: Final = (1.0, 3.0)
KEYS: Final = Keys("sim")


@dataclass(slots=True)
class Air:
    """Carries an alarm to everybody else, in order and at once."""

    ears: dict[str, Alarms] = field(default_factory=dict)

    def join(self, node: str) -> Alarms:
        self.ears[node] = Alarms(node, _never)
        return self.ears[node]

    def tell(self, alarm: Alarm, now_ns: int) -> None:
        raw = pack_alarm(alarm)
        for node, ear in self.ears.items():
            if node != alarm.origin:
                ear.told(KEYS.alarm(alarm.origin), len(raw), lambda: raw, now_ns)


class Neighbourly(Predictive):
    """The product's node, which tells of its bursts and, where there is an air to carry it, hears of others'."""

    def __init__(self, node: str, air: Air | None) -> None:
        self._learner = Schedule()
        super().__init__(f"predictive, {node}", SINGLE, self._learner)
        self._node, self._air = node, air
        self._alarms = air.join(node) if air else None
        self._neighbours = Neighbours(CLASSES)
        self._sent, self._heard_ns = 0, -1

    def usefulness(self, origin: str) -> float:
        return self._neighbours.usefulness(origin, SINGLE.bursty.id)

    def _predict(self, sample: Sample) -> Outlook | None:
        outlook = super()._predict(sample)
        if self._air is None:
            return outlook
        self._tell(sample, outlook)
        word = self._neighbours.step(self._told(sample.t_ns), self._learner.began, sample.t_ns)
        return informed(outlook, word, sample.t_ns, sample.per_second("bytes"))

    def _tell(self, sample: Sample, outlook: Outlook | None) -> None:
        assert self._air is not None
        beyond = np.maximum(sample.per_second("bytes") - self._drain_bps, 0.0) + sample.backlog_bytes
        known = outlook.forecast.magnitude_bytes[:, 1] if outlook else np.zeros(CLASSES)
        for each in np.flatnonzero(self._learner.began):
            self._sent += 1
            size = int(max(beyond[each], known[each]))
            self._air.tell(Alarm(self._node, int(each), 0, size, 1.0, 1, seq=self._sent), sample.t_ns)

    def _told(self, now_ns: int) -> Iterator[Told]:
        """Each alarm once."""
        assert self._alarms is not None
        for heard in self._alarms.fresh(now_ns):
            if heard.heard_ns > self._heard_ns:
                alarm = heard.alarm
                onset_ns = heard.heard_ns + alarm.onset_in_ms * 1_000_000
                yield Told(alarm.origin, alarm.traffic_class, onset_ns, alarm.magnitude_bytes, alarm.confidence)
        self._heard_ns = max((each.heard_ns for each in self._alarms.fresh(now_ns)), default=self._heard_ns)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Dropped share of the bursty class, by node; and how useful the last node found the first."""

    alone: dict[str, float]
    shared: dict[str, float]
    usefulness: float

    def reduction(self, *nodes: str) -> float:
        """Of drops on these nodes, by sharing."""
        alone = sum(self.alone[node] for node in nodes)
        return 1.0 - sum(self.shared[node] for node in nodes) / alone if alone else 0.0


def sharing(
    seconds: float, seed: int, *, correlated: bool, warm_up_s: float, nodes: tuple[str, ...] = NODES
) -> Outcome:
    """The figures after the warm-up, in which the nodes learn what their neighbours are worth."""
    onsets = _onsets(seconds, seed, correlated=correlated)[: len(nodes)]
    traffics = [_traffic(each, seconds, seed) for each in onsets]
    air = Air()
    alone = [Neighbourly(node, None) for node in nodes]
    shared = [Neighbourly(node, air) for node in nodes]
    lanes = [
        Lane(SINGLE, traffic, policy)
        for each in (alone, shared)
        for traffic, policy in zip(traffics, each, strict=True)
    ]
    dropped = [result.figures[SINGLE.bursty.name].drop_share for result in simulate(lanes, warm_up_s)]
    return Outcome(
        alone=dict(zip(nodes, dropped[: len(nodes)], strict=True)),
        shared=dict(zip(nodes, dropped[len(nodes) :], strict=True)),
        usefulness=shared[-1].usefulness(nodes[0]),
    )


def _onsets(seconds: float, seed: int, *, correlated: bool) -> list[Floats]:
    random = np.random.default_rng(seed)
    most = int(seconds / GAP_S[0]) + 2
    own = [np.cumsum(random.uniform(*GAP_S, most)) - GAP_S[0] + FIRST_S for _ in NODES]
    lags = [np.zeros(most), *(random.uniform(*LAG_S, most) for _ in NODES[1:])]
    if correlated:
        own = [own[0] + late for late in np.cumsum(lags, axis=0)]
    return [each[each < seconds - BURST_S] for each in own]


def _traffic(onsets: Floats, seconds: float, seed: int) -> Traffic:
    steps = round(seconds / STEP_S)
    rate = np.full(steps, float(CALM_FRAMES_PER_S))
    for onset in onsets:
        rate[round(onset / STEP_S) : round((onset + BURST_S) / STEP_S)] = BURST_FRAMES_PER_S
    frames = np.zeros((steps, len(SINGLE.classes)), np.float32)
    column = SINGLE.classes.index(SINGLE.bursty)
    frames[:, column] = np.random.default_rng((seed, 1)).poisson(rate * STEP_S)
    return Traffic("bursts", STEP_S, frames, tuple((float(each), float(each) + BURST_S) for each in onsets))


def _never(refusal: object) -> None:
    raise AssertionError(f"a neighbour refused an alarm: {refusal}")
