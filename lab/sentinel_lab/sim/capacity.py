"""An actuator of any latency as a fluid: what was ordered a while ago meets what arrives now, with a short queue.

What is ordered at one instant is in force a latency later, for more and for less alike. Demand is even within a bin, so
each bin has two stretches, before and after the order of its instant arrives, and both are summed up exactly. Blocks of
time begin with an empty queue: they are what intervals are resampled from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BLOCK_S: Final = 60.0
QUEUE_S: Final = 0.05
"""What may wait: maxDelay of the product's `network` profile, at the capacity in force."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """By rule and block: what was held (capacity times seconds) and lost; `offered` by block."""

    held: Floats
    lost: Floats
    offered: Floats

    def part(self, blocks: NDArray[np.int64]) -> Outcome:
        return Outcome(self.held[:, blocks], self.lost[:, blocks], self.offered[blocks])


def carried(levels: Floats, demand: Floats, bin_s: float, latency_s: float) -> Outcome:
    """`levels[rule, series, bin]` is what each rule orders knowing the bins up to this one, against
    `demand[series, bin]`, both per second."""
    whole, rest_s = divmod(latency_s + 1e-12, bin_s)
    before = _shifted(levels, int(whole) + 1)
    after = _shifted(levels, int(whole))
    per_block = max(1, round(BLOCK_S / bin_s))
    blocks = demand.shape[-1] // per_block
    offered = _blocked(demand, blocks, per_block) * bin_s
    early, late = _blocked(before, blocks, per_block), _blocked(after, blocks, per_block)
    queue = np.zeros(early.shape[:-1])
    held, lost = np.zeros_like(queue), np.zeros_like(queue)
    for step in range(per_block):
        arriving = offered[..., step] / bin_s
        for level, length_s in ((early[..., step], rest_s), (late[..., step], bin_s - rest_s)):
            if length_s <= 0:
                continue
            queue = np.maximum(queue + (arriving - level) * length_s, 0.0)
            over = np.maximum(queue - QUEUE_S * level, 0.0)
            queue -= over
            lost += over
            held += level * length_s
    rules = len(levels)
    return Outcome(held.reshape(rules, -1), lost.reshape(rules, -1), offered.sum(axis=-1).reshape(-1))


def _shifted(levels: Floats, bins: int) -> Floats:
    """Before the first order there is what the first order asks for."""
    if bins <= 0:
        return levels
    bins = min(bins, levels.shape[-1])
    first = np.repeat(levels[..., :1], bins, axis=-1)
    return np.concatenate([first, levels[..., : levels.shape[-1] - bins]], axis=-1)


def _blocked(series: Floats, blocks: int, per_block: int) -> Floats:
    """[..., series, block, bin of the block]; a rest shorter than a block is left out."""
    return series[..., : blocks * per_block].reshape(*series.shape[:-1], blocks, per_block)


def rolling_max(demand: Floats, bins: int) -> Floats:
    """Over this bin and those before it, `bins` in all."""
    found, reach = demand.copy(), 1
    while reach < bins:
        step = min(reach, bins - reach)
        found[..., step:] = np.maximum(found[..., step:], found[..., :-step].copy())
        reach += step
    return found


def rolling_mean(demand: Floats, bins: int) -> Floats:
    total = np.cumsum(demand, axis=-1)
    lagged = np.concatenate([np.zeros((*demand.shape[:-1], min(bins, demand.shape[-1]))), total[..., :-bins]], axis=-1)
    count = np.minimum(np.arange(demand.shape[-1]) + 1, bins)
    found: Floats = (total - lagged) / count
    return found
