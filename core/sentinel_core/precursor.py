"""Signs that a burst is on its way, as facts with a severity: they foretell nothing, and `decide` may read them.

    slope      bytes come faster than lately, and by more than their own noise
    syn growth connections are asked for faster than lately, and by more than chance
    pressure   the queue is filling
    alarm      a neighbour saw or expects a burst of this class

Each sign is from 0 (none) to 1 (full). The severity is that of independent witnesses: one weak sign says little, two
say more, and no number of signs exceeds 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FAST_S: Final = 0.5
SLOW_S: Final = 15.0
"""A ramp of a few seconds lifts the fast mean over the slow one long before it peaks; a daily one never does."""

BEYOND_CHANCE: Final = 4.0
"""Standard deviations by which the fast mean must exceed the slow one before it means anything."""

FULL_RATIO: Final = 3.0
"""From this ratio of fast to slow on a growth counts in full: the ratio at which a burst counts as one."""

PRESSED: Final = 0.25
FULL: Final = 0.75
"""Shares of the limit between which a queue counts as filling."""

WEIGHTS: Final = {"slope": 0.5, "syn_growth": 0.6, "pressure": 0.4, "alarm": 0.8}
"""How far each sign at its fullest is believed alone: connections come before bytes, neighbours have seen it. Pressure
is there already, which the reactive rule sees too, so it only strengthens others."""

SEVERE: Final = 0.5
"""From this severity on the signs are acted on."""


@dataclass(frozen=True, slots=True, eq=False)
class Signs:
    """One entry a class, each from 0 to 1."""

    slope: Floats
    syn_growth: Floats
    pressure: Floats
    alarm: Floats

    @property
    def severity(self) -> Floats:
        silent = np.ones_like(self.slope)
        for name, weight in WEIGHTS.items():
            silent *= 1.0 - weight * getattr(self, name)
        return 1.0 - silent

    @property
    def warning(self) -> Floats:
        """The severity where it is to be acted on, else 0."""
        severity = self.severity
        return np.where(severity >= SEVERE, severity, 0.0)

    def words(self, index: int) -> str:
        """The signs of one class that are there, the strongest first; empty when there are none."""
        there = [(float(getattr(self, name)[index]), name.replace("_", " ")) for name in WEIGHTS]
        return ", ".join(f"{name} {share:.2f}" for share, name in sorted(there, reverse=True) if share > 0)


def no_signs(classes: int) -> Signs:
    none = np.zeros(classes)
    return Signs(none, none, none, none)


class Precursors:
    """`step` once a period; time constants hold whatever its real length."""

    def __init__(self, classes: int) -> None:
        self._bytes = _Growth(classes)
        self._syns = _Growth(classes)

    def step(
        self, arrivals_bps: Floats, syns_per_s: Floats, fullness: Floats, alarm: Floats, elapsed_s: float
    ) -> Signs:
        """`fullness` is backlog over limit, `alarm` the confidence of a fresh alarm of a neighbour, 0 where none is."""
        return Signs(
            slope=self._bytes.step(arrivals_bps, elapsed_s),
            syn_growth=self._syns.step(syns_per_s, elapsed_s),
            pressure=_share_of_one((fullness - PRESSED) / (FULL - PRESSED)),
            alarm=_share_of_one(alarm),
        )


class _Growth:
    """How far a rate has left its recent past, by ratio, where that is more than noise explains."""

    def __init__(self, classes: int) -> None:
        self._fast = np.zeros(classes)
        self._slow = np.zeros(classes)
        self._variance = np.zeros(classes)
        self._seen_s = 0.0

    def step(self, rate: Floats, elapsed_s: float) -> Floats:
        """0 until a slow mean has been seen: a node that just started knows no past to compare with."""
        fast, slow = _share(elapsed_s, FAST_S), _share(elapsed_s, SLOW_S)
        if self._seen_s == 0.0:
            self._fast, self._slow = rate.copy(), rate.copy()
        self._fast += fast * (rate - self._fast)
        grown = self._fast - self._slow
        # An exponential mean divides the variance of single periods so; counts have at least their own, seen or not.
        noise = np.sqrt(self._variance * fast / (2.0 - fast) + self._slow / FAST_S)
        ratio = self._fast / np.maximum(self._slow, 1e-9)
        self._slow += slow * (rate - self._slow)
        self._variance += slow * ((rate - self._slow) ** 2 - self._variance)
        self._seen_s += elapsed_s
        if self._seen_s < SLOW_S:
            return np.zeros_like(rate)
        growth = _share_of_one((ratio - 1.0) / (FULL_RATIO - 1.0))
        return np.where(grown > BEYOND_CHANCE * noise, growth, 0.0)


def _share_of_one(amount: Floats) -> Floats:
    # Not `clip`: it takes three times as long, and every tick pays.
    return np.minimum(np.maximum(amount, 0.0), 1.0)


def _share(elapsed_s: float, constant_s: float) -> float:
    """The weight of one new value in an exponential mean of that time constant."""
    return float(-np.expm1(-elapsed_s / constant_s))
