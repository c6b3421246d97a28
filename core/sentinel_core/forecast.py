"""A forecast for all classes of a node, and how forecasts of many nodes add up without inventing certainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES, HORIZONS_S
from sentinel_core.signature import DEMAND_LEVELS, HAZARD_BINS, MAGNITUDE_LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

P50, P95 = DEMAND_LEVELS.index(0.5), DEMAND_LEVELS.index(0.95)


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What is expected of each class, seen from `made_ns`; build it by `checked` or `nothing_expected`.

    `hazard[c, k]` is the chance of a burst's onset in second k given none before, `magnitude_bytes[c]` quantiles of
    what comes beyond the drain if it comes, `demand[c, h]` quantiles of bytes per second at `HORIZONS_S[h]`.
    """

    made_ns: int
    source: str
    hazard: NDArray[np.float64]
    magnitude_bytes: NDArray[np.float64]
    demand: NDArray[np.float64]

    def burst_within(self, seconds: int) -> NDArray[np.float64]:
        """Chance per class of an onset within so many whole seconds (at most the ten the model sees)."""
        bins = min(max(seconds, 0), HAZARD_BINS)
        quiet: NDArray[np.float64] = np.prod(1.0 - self.hazard[:, :bins], axis=1)
        return 1.0 - quiet

    def seconds_to_burst(self) -> NDArray[np.float64]:
        """The likeliest second of the onset per class, as the middle of its bin; the horizon where none is likely."""
        quiet_until = np.cumprod(1.0 - self.hazard, axis=1)
        onset = np.hstack([np.ones((CLASSES, 1)), quiet_until[:, :-1]]) * self.hazard
        return np.where(onset.max(axis=1) > 0, onset.argmax(axis=1) + 0.5, float(HAZARD_BINS))

    def node_demand(self, correlation: float = 1.0) -> NodeDemand:
        """All classes as one. Classes of a node share its clients, so by default nothing is hoped to cancel out."""
        summed = spreads(self.demand[:, :, P50], self.demand[:, :, P95])
        return NodeDemand(p50=summed.p50, p95=summed.p95(correlation))


@dataclass(frozen=True, slots=True, eq=False)
class NodeDemand:
    """Bytes per second at each of `HORIZONS_S`."""

    p50: NDArray[np.float64]
    p95: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Spreads:
    """Enough of many forecasts to form the quantile of their sum: Σp50, Σs and √Σs², where s = p95 - p50."""

    p50: NDArray[np.float64]
    spread: NDArray[np.float64]
    spread_norm: NDArray[np.float64]

    def p95(self, correlation: float) -> NDArray[np.float64]:
        """The p95 of the sum when the parts correlate so much: 1 adds the quantiles, 0 lets independent noise cancel.

        It never falls when any part's p50 or p95 rises, and never leaves [Σp50, Σp95].
        """
        if not 0.0 <= correlation <= 1.0:
            raise Invalid(f"a correlation of {correlation} cannot be used: give one between 0 and 1")
        return self.p50 + np.sqrt(correlation * self.spread**2 + (1.0 - correlation) * self.spread_norm**2)


def checked(made_ns: int, source: str, hazard: ArrayLike, magnitude_bytes: ArrayLike, demand: ArrayLike) -> Forecast:
    """A forecast out of a model's raw outputs; raises `Invalid` for shapes and numbers that mean nothing.

    Small faults of a trained model are mended, not refused: hazards are clipped to [0, 1], amounts to ≥ 0, and
    quantiles that cross are sorted.
    """
    return Forecast(
        made_ns=made_ns,
        source=source,
        hazard=np.minimum(np.maximum(_finite("hazard", hazard, (CLASSES, HAZARD_BINS)), 0.0), 1.0),
        magnitude_bytes=_quantiles("magnitude_bytes", magnitude_bytes, (CLASSES, len(MAGNITUDE_LEVELS))),
        demand=_quantiles("demand", demand, (CLASSES, len(HORIZONS_S), len(DEMAND_LEVELS))),
    )


def nothing_expected(made_ns: int, demand_now: NDArray[np.float64], source: str = "none") -> Forecast:
    """No burst, and demand stays as it is: what is said when nobody can say more."""
    return Forecast(
        made_ns=made_ns,
        source=source,
        hazard=np.zeros((CLASSES, HAZARD_BINS)),
        magnitude_bytes=np.zeros((CLASSES, len(MAGNITUDE_LEVELS))),
        demand=np.broadcast_to(demand_now[:, None, None], (CLASSES, len(HORIZONS_S), len(DEMAND_LEVELS))),
    )


def spreads(p50: ArrayLike, p95: ArrayLike) -> Spreads:
    """Of many nodes (or classes), one row each; a p95 below its p50 counts as no spread."""
    middle, high = np.asarray(p50, np.float64), np.asarray(p95, np.float64)
    if middle.shape != high.shape or middle.ndim != 2:
        raise Invalid(f"p50 of shape {middle.shape} and p95 of shape {high.shape} are not one row a node")
    spread = np.maximum(high - middle, 0.0)
    return Spreads(p50=middle.sum(axis=0), spread=spread.sum(axis=0), spread_norm=np.sqrt((spread**2).sum(axis=0)))


def merged(parts: Iterable[Spreads]) -> Spreads:
    """Digests of several routers as one; the same as if all their nodes had been summed at once."""
    known = list(parts)
    nothing: Any = np.zeros(len(HORIZONS_S))
    return Spreads(
        p50=sum((part.p50 for part in known), nothing),
        spread=sum((part.spread for part in known), nothing),
        spread_norm=np.sqrt(sum((part.spread_norm**2 for part in known), nothing)),
    )


def _quantiles(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    found = np.maximum(_finite(name, values, shape), 0.0)
    found.sort(axis=-1)
    return found


def _finite(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.shape != shape:
        raise Invalid(f"{name} of a forecast has shape {array.shape}: it must be {shape}")
    if not np.isfinite(array).all():
        raise Invalid(f"{name} of a forecast is not finite: the model's answer cannot be used")
    return array
