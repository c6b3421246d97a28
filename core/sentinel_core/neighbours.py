"""What a burst on another node says of this one: believed as far as such words were right before.

Each neighbour and class is a witness of its own. After its alarm either a burst of the class begins here within some
seconds, or it does not; from that follow how often (above what chance alone gives) and after how long. A witness whose
alarms never helped is worth exactly nothing after a few of them. What is left raises the hazard of the coming seconds,
which fades by itself as they pass without a burst.

    alarm ──→ open ──→ a burst begins here: it helped, after so long
                └────→ ten seconds pass:   it did not
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.forecast import nothing_expected
from sentinel_core.room import Outlook
from sentinel_core.signature import HAZARD_BINS, MAGNITUDE_LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

WINDOW_S: Final = float(HAZARD_BINS)
FADE: Final = 0.9
"""Of what was learned stays with each new lesson: some ten alarms are remembered."""

LEAST: Final = 0.25
"""A lift over chance below this is taken for none: so much a handful of alarms shows by luck."""

FIRST_LAGS: Final = np.array([0.3, 0.3, 0.2, 0.1, 0.1, *[0.0] * (HAZARD_BINS - 5)])
"""When a burst follows, before anything was learned: soon."""

RATE_S: Final = 600.0
"""Over so long it is counted how often the class bursts by itself."""

SPREAD: Final = np.array([0.5, 1.0, 1.5])
"""Of what the neighbour saw, as quantiles of what may come here."""

WITNESSES_MAX: Final = 4096
EDGES: Final = np.arange(HAZARD_BINS + 1, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Told:
    """An alarm by this node's clock: the onset may lie ahead."""

    origin: str
    series: int
    onset_ns: int
    magnitude_bytes: float
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """What neighbours say now, a row a series; `origins` names the strongest of them, "" where nobody is worth hearing.

    `sign` is how far a burst is expected, from 0 to 1: usefulness times confidence, while the alarm is open.
    """

    hazard: Floats
    magnitude_bytes: Floats
    sign: Floats
    origins: tuple[str, ...]


@dataclass(slots=True)
class _Witness:
    heard: float = 0.0
    helped: float = 0.0
    lags: Floats = field(default_factory=lambda: np.zeros(HAZARD_BINS))
    open: Told | None = None

    def usefulness(self, chance: float) -> float:
        """How far above chance its alarms were right, from 0 to 1; a new one is believed by half."""
        right = (self.helped + 1.0) / (self.heard + 2.0)
        lift = (right - chance) / (1.0 - chance)
        return lift if lift >= LEAST else 0.0

    def judged(self, lag_s: float | None) -> None:
        """The open alarm is over: a burst began so long after it, or none did."""
        self.heard, self.helped, self.lags = self.heard * FADE + 1.0, self.helped * FADE, self.lags * FADE
        self.open = None
        if lag_s is not None:
            self.helped += 1.0
            self.lags[min(max(int(lag_s), 0), HAZARD_BINS - 1)] += 1.0

    def expected_by(self, ages_s: Floats, belief: float) -> Floats:
        """The chance that a burst has begun so long after the onset told of."""
        lags = (self.lags + FIRST_LAGS) / (self.lags.sum() + 1.0)
        reached: Floats = np.interp(ages_s, EDGES, np.concatenate([[0.0], np.cumsum(lags)]))
        return belief * reached


class Neighbours:
    """`step` once a period with what was told since the last, and what began here."""

    def __init__(self, series: int) -> None:
        self._witnesses: dict[tuple[str, int], _Witness] = {}
        self._rate = np.zeros(series)
        self._seen_s = 0.0
        self._now_ns: int | None = None

    def step(self, told: Iterable[Told], began: Bools, now_ns: int) -> Word:
        """Alarms are told once; one more while another of the same witness is open says nothing new."""
        self._count(began, now_ns)
        for each in told:
            self._hear(each, began, now_ns)
        for (_, series), witness in self._witnesses.items():
            if witness.open is None:
                continue
            age_s = (now_ns - witness.open.onset_ns) / 1e9
            if began[series]:
                witness.judged(age_s)
            elif age_s > WINDOW_S:
                witness.judged(None)
        return self._word(now_ns)

    def usefulness(self, origin: str, series: int) -> float:
        """What its next alarm will be worth."""
        return self._witnesses.get((origin, series), _Witness()).usefulness(self.chance(series))

    def chance(self, series: int) -> float:
        """Of a burst within the window, as if nobody had said anything."""
        known = -np.expm1(-self._seen_s / RATE_S)
        rate = self._rate[series] / known if known > 0 else 0.0
        return min(float(-np.expm1(-rate * WINDOW_S)), 0.99)

    def _count(self, began: Bools, now_ns: int) -> None:
        elapsed_s = 0.0 if self._now_ns is None else max(now_ns - self._now_ns, 0) / 1e9
        self._now_ns = now_ns
        self._seen_s += elapsed_s
        self._rate = self._rate * np.exp(-elapsed_s / RATE_S) + began / RATE_S

    def _hear(self, told: Told, began: Bools, now_ns: int) -> None:
        """What begins here in the same step was not foretold by it; and nobody foretells further than the window."""
        if not 0 <= told.series < len(began) or began[told.series]:
            return
        if abs(now_ns - told.onset_ns) / 1e9 > WINDOW_S:
            return
        who = told.origin, told.series
        if who not in self._witnesses and len(self._witnesses) >= WITNESSES_MAX:
            return
        witness = self._witnesses.setdefault(who, _Witness())
        if witness.open is None:
            witness.open = told

    def _word(self, now_ns: int) -> Word:
        """Neighbours see the same burst, so they do not add up: in each second the strongest counts."""
        series = len(self._rate)
        hazard, sign = np.zeros((series, HAZARD_BINS)), np.zeros(series)
        magnitude, origins = np.zeros((series, len(MAGNITUDE_LEVELS))), [""] * series
        for (origin, each), witness in self._witnesses.items():
            told = witness.open
            belief = witness.usefulness(self.chance(each)) * told.confidence if told is not None else 0.0
            if told is None or belief <= 0.0:
                continue
            begun = witness.expected_by((now_ns - told.onset_ns) / 1e9 + EDGES, belief)
            hazard[each] = np.maximum(hazard[each], np.diff(begun) / np.maximum(1.0 - begun[:-1], 1e-9))
            magnitude[each] = np.maximum(magnitude[each], told.magnitude_bytes * SPREAD)
            coming = (begun[-1] - begun[0]) / max(1.0 - begun[0], 1e-9)
            if coming > sign[each]:
                sign[each], origins[each] = coming, origin
        return Word(np.clip(hazard, 0.0, 1.0), magnitude, np.clip(sign, 0.0, 1.0), tuple(origins))


def informed(outlook: Outlook | None, word: Word, now_ns: int, demand: Floats) -> Outlook | None:
    """The outlook, with the neighbours' word in the place of its own where that expects more.

    Their usefulness is in the hazard already, so it is trusted as it stands. Where this node has learned how big its
    bursts are, it knows better than its neighbours, unless those see a bigger one.
    """
    if not word.sign.any():
        return outlook
    base = outlook or Outlook(nothing_expected(now_ns, demand), np.zeros(len(word.sign)))
    forecast, trust = base.forecast, base.trust
    own = _soon(forecast.hazard) * trust
    louder = _soon(word.hazard) > own
    rows = louder[:, None]
    return Outlook(
        forecast=replace(
            forecast,
            hazard=np.where(rows, word.hazard, forecast.hazard),
            magnitude_bytes=np.where(
                rows, np.maximum(word.magnitude_bytes, forecast.magnitude_bytes), forecast.magnitude_bytes
            ),
        ),
        trust=np.where(louder, 1.0, trust),
    )


def _soon(hazard: Floats) -> Floats:
    """The chance of a burst at all."""
    quiet: Floats = np.prod(1.0 - hazard, axis=1)
    return 1.0 - quiet
