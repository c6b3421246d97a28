"""Whether demand keeps growing, and by how much it will have grown when a node that is ordered now has come.

What a node's own forecast knows of a ramp it knows late, through the noise of that node; the sum of all nodes is
calmer. Only growth that lasts counts: that of two minutes without its largest steps, by more than half a standard
error. So a jump is none, for it is one step or two.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from math import sqrt
from statistics import fmean

WINDOW = timedelta(seconds=120)
LEAPS = 1 / 6  # of the steps: the largest ones, that count for nothing
SURE = 0.5  # standard errors of the slope that may be chance; all three were chosen by `bench scaling`
FEWEST = 5  # points, below which a line through them says nothing
LEAST = 0.75  # of the window that must be known


@dataclass(frozen=True, slots=True)
class Seen:
    """What all nodes carried at an instant, in bytes per second."""

    at: datetime
    demand: float


def kept(before: tuple[Seen, ...], now: Seen) -> tuple[Seen, ...]:
    """The points of the window, oldest first; a hole of half of it starts it anew."""
    window = (*(each for each in before if now.at - WINDOW <= each.at < now.at), now)
    holes = [place for place, (one, next_) in enumerate(pairwise(window), start=1) if next_.at - one.at > WINDOW / 2]
    return window[max(holes, default=0) :]


def rise(points: tuple[Seen, ...], ahead_s: float) -> float:
    """The share of present demand that comes on top of it so many seconds ahead; 0 where it does not keep growing."""
    if len(points) < FEWEST or points[-1].demand <= 0 or points[-1].at - points[0].at < LEAST * WINDOW:
        return 0.0
    return max(0.0, _slope(points)) * ahead_s / points[-1].demand


def _slope(points: tuple[Seen, ...]) -> float:
    """Bytes per second gained each second, less what chance may have added."""
    at = [(each.at - points[0].at).total_seconds() for each in points]
    demand = _without_leaps([each.demand for each in points])
    mean_at, mean = fmean(at), fmean(demand)
    away = [each - mean_at for each in at]
    spread = sum(each**2 for each in away)
    slope = sum(x * (each - mean) for x, each in zip(away, demand, strict=True)) / spread
    missed = sum((each - mean - slope * x) ** 2 for x, each in zip(away, demand, strict=True))
    return slope - SURE * sqrt(missed / (len(points) - 2) / spread)


def _without_leaps(demand: list[float]) -> list[float]:
    """As if the largest steps up had not been."""
    steps = [after - before for before, after in pairwise(demand)]
    leaps = sorted(range(len(steps)), key=lambda place: -steps[place])[: max(1, round(LEAPS * len(steps)))]
    return list(accumulate((min(step, 0.0) if i in leaps else step for i, step in enumerate(steps)), initial=0.0))
