"""Traffic classes made to order with their physics: packets fill a queue, the queue makes them wait, and connections
come before bytes where clients must connect first. What a real node would not see is missing here too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.inputs import FEATURES, GROUPS
from sentinel_core.sample import Valid
from sentinel_training import synthetic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

LEADS_S: Final = (3.0, 10.0)
"""Connections of an announced burst begin so long before its bytes."""
ANNOUNCED_TIMES: Final = (2.0, 6.0)
KINDS: Final = (*sorted(synthetic.PATTERNS), "announced", "synflood")
"""`announced` and `synflood` have the random pattern's onsets: only connections tell them apart from it."""

QUEUE_UNSEEN: Final = 0.3
"""Of the classes are on nodes that only count."""
GAPS_AN_HOUR: Final = 4.0
CHANGE: Final = 0.25
"""Of the classes change their ways halfway."""
DRIFT: Final = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One class over time: [steps, feature] in units of a second, what of it was measured, and the truth."""

    kind: str
    step_s: float
    value: Floats
    known: Bools
    surplus_bytes: Floats
    onsets_s: Floats


def made(kind: str, seconds: float, seed: int, step_s: float = synthetic.STEP_S) -> Scene:
    """The same seed makes the same scene."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    pattern = kind if kind in synthetic.PATTERNS else "random"
    rates, onsets = _ways(pattern, seconds, random)
    drift = 1.0 + DRIFT * np.sin(
        2 * np.pi * (np.arange(len(rates)) / len(rates) * random.uniform(0.2, 2) + random.random())
    )
    rates = rates * drift * 10.0 ** random.uniform(-0.5, 0.5)
    per_step = round(step_s / synthetic.STEP_S)
    expected = rates.reshape(-1, per_step).sum(axis=1) * synthetic.STEP_S
    packets = random.poisson(expected).astype(np.float64)
    sizes = random.uniform(150.0, 1_400.0) * random.lognormal(0.0, 0.05, len(packets))
    flows = _connections(kind, expected, packets, onsets, step_s, random)
    counted = np.stack([packets * sizes, packets, flows])
    return _seen(Scene(kind, step_s, counted, np.empty(0, np.bool_), np.empty(0), onsets), random)


def _ways(pattern: str, seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Rate per second and onsets; a quarter of the classes become another of their kind halfway."""
    if random.random() >= CHANGE:
        run = synthetic.made(pattern, seconds, int(random.integers(2**31)))
        return run.rates, run.onsets_s
    halves = [synthetic.made(pattern, seconds / 2, int(random.integers(2**31))) for _ in range(2)]
    rates = np.concatenate([half.rates for half in halves])
    return rates, np.concatenate([halves[0].onsets_s, halves[1].onsets_s + seconds / 2])


def _connections(
    kind: str, expected: Floats, packets: Floats, onsets: Floats, step_s: float, random: np.random.Generator
) -> Floats:
    """New flows a step."""
    if kind == "synflood":
        calm = float(np.median(expected))
        found: Floats = random.poisson(0.05 * calm, len(packets)).astype(np.float64)
        return found + np.maximum(packets - 2.0 * calm, 0.0)
    a_flow = random.uniform(5.0, 60.0)
    rate = expected / a_flow
    if kind == "announced":
        lead, times = random.uniform(*LEADS_S), random.uniform(*ANNOUNCED_TIMES)
        for onset in onsets:
            first, last = (max(0, int((at) / step_s)) for at in (onset - lead, onset))
            rate[first:last] *= times
    return random.poisson(rate).astype(np.float64)


def _seen(scene: Scene, random: np.random.Generator) -> Scene:
    """Of bytes, packets and flows a step: what they do to a queue, and what a node sees of all that."""
    (arrived, packets, flows), step_s = scene.value, scene.step_s
    drain = float(arrived.mean()) * random.uniform(1.3, 5.0)
    beyond = np.cumsum(arrived - drain)
    queue = beyond - np.minimum(np.minimum.accumulate(beyond), 0.0)
    wait_us = queue / (drain / step_s) * 1e6 + random.exponential(80.0, len(queue))
    value = np.stack([arrived / step_s, packets / step_s, queue, wait_us, flows / step_s], axis=1)
    known = np.ones(value.shape, np.bool_)
    unseen = [GROUPS[at] is not Valid.COUNTERS for at in range(len(FEATURES))]
    if random.random() < QUEUE_UNSEEN:
        known[:, unseen] = False
    hours = len(packets) * step_s / 3_600.0
    for _ in range(random.poisson(GAPS_AN_HOUR * hours)):
        first = int(random.integers(len(packets)))
        known[first : first + int(random.uniform(1.0, 20.0) / step_s)] = False
    grown = np.maximum(np.diff(queue, prepend=0.0), 0.0)
    plain = np.maximum(arrived - float(arrived.mean()), 0.0)
    surplus = grown if known[:, FEATURES.index("queue_depth")].any() else plain
    return replace(
        scene, value=np.where(known, value, 0.0), known=known, surplus_bytes=np.where(known[:, 0], surplus, 0.0)
    )
