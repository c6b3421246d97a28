"""A walk through recorded time, many series side by side: each step only ever knows what was before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.demand import FORECASTERS, SLOT_S
from sentinel_core.inputs import FEATURES, Seen
from sentinel_core.referee import Told
from sentinel_core.senses import Senses
from sentinel_core.signature import HAZARD_BINS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sentinel_core.events import Rule
    from sentinel_training.session import Session

    Floats = NDArray[np.float64]
    Table = NDArray[np.float32]
    Bools = NDArray[np.bool_]

PACKET_BYTES: Final = 1_000.0
"""Where only events were counted; sizes in bytes then mean nothing but their ratios."""
MEAN_S: Final = 60.0
RIVALS: Final = ("last", "mean_30", "winters")
"""Persistence, exponential smoothing and Holt-Winters, each with quantiles from its own past errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """[steps, series]: what there was to see. `flows` may be unknown everywhere."""

    packets: Floats
    known: Bools
    step_s: float
    rule: Rule
    flows: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What was said after each step, and what began in it: [steps, series, 10] and [steps, series]. Amounts are by
    slot of ten seconds: [slots, series, 4, 3], for each rival [slots, series, rival, 4, 3], and [slots, series]."""

    hazard: Table
    began: Bools
    demand: Floats
    rivals: Floats
    rate: Floats
    rate_known: Bools
    sizes: tuple[Size, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Size:
    """Of one burst: what was expected of it just before, and what it brought within ten seconds."""

    step: int
    series: int
    said: Floats
    came: float


def walk(path: Path, session: Session | None, told: Callable[[str], None] = lambda _: None) -> Walk:
    """By the learners alone, or by a model beside them."""
    steps, series = path.packets.shape
    senses, surplus = Senses(series, path.step_s, path.rule), _surplus(path)
    hazard = np.zeros((steps, series, HAZARD_BINS), np.float32)
    began = np.zeros((steps, series), np.bool_)
    per_slot = round(SLOT_S / path.step_s)
    demand, rivals, sizes = [], [], []
    which = [FORECASTERS.index(name) for name in RIVALS]
    state = session.start(series) if session else np.zeros((series, 0), np.float32)
    magnitude = np.zeros((series, 3))
    for step in range(steps):
        now = _seen(path, step)
        began[step] = senses.step(now, surplus[step])
        for each in np.flatnonzero(began[step]):
            came = float(surplus[step : step + per_slot, each].sum())
            sizes.append(Size(step, int(each), magnitude[each].copy(), came))
        learned = senses.learned()
        rates, magnitude = learned.demand, learned.magnitude_bytes
        hazard[step] = learned.hazard
        if session:
            fed = senses.inputs(now, learned)
            chances, sizes_of, rates_of, state = session.step(fed.x, fed.valid, state)
            said = Told(*(each.astype(np.float64) for each in (chances, sizes_of, rates_of)))
            believed = senses.believed(learned, said)
            hazard[step], magnitude, rates = believed.hazard, believed.magnitude_bytes, believed.demand
        if (step + 1) % per_slot == 0:
            demand.append(np.array(rates, np.float64))
            rivals.append(senses.demand.forecasters[:, which].copy())
        if (step + 1) % max(1, steps // 10) == 0:
            told(f"{100 * (step + 1) // steps} % of {steps} steps of {path.step_s:g} s, {series} side by side")
    slots = len(demand)
    whole = slots * per_slot
    known = path.known[:whole].reshape(slots, per_slot, series)
    packets = np.where(known, path.packets[:whole].reshape(known.shape), 0.0).sum(axis=1)
    rate = packets * PACKET_BYTES / np.maximum(known.sum(axis=1) * path.step_s, 1e-9)
    return Walk(hazard, began, np.array(demand), np.array(rivals), rate, known.mean(axis=1) > 0.5, tuple(sizes))


def _seen(path: Path, step: int) -> Seen:
    """No queue was recorded, so neither its depth nor the waiting is known."""
    packets, known = path.packets[step], path.known[step]
    value = np.zeros((len(packets), len(FEATURES)))
    value[:, 0], value[:, 1] = packets * PACKET_BYTES / path.step_s, packets / path.step_s
    mask = np.zeros(value.shape, np.bool_)
    mask[:, 0] = mask[:, 1] = known
    if path.flows is not None:
        value[:, 4], mask[:, 4] = path.flows[step] / path.step_s, known
    return Seen(value, mask, path.step_s)


def _surplus(path: Path) -> Floats:
    """Bytes a step beyond the mean of the minute before it."""
    width = round(MEAN_S / path.step_s)
    packets = np.where(path.known, path.packets, 0.0)
    summed = np.concatenate([np.zeros((1, packets.shape[1])), np.cumsum(packets, axis=0)])
    counted = np.concatenate([np.zeros((1, packets.shape[1])), np.cumsum(path.known, axis=0)])
    end = np.arange(len(packets))
    start = np.maximum(end - width, 0)
    mean = (summed[end] - summed[start]) / np.maximum(counted[end] - counted[start], 1)
    found: Floats = np.maximum(packets - mean, 0.0) * PACKET_BYTES
    return found
