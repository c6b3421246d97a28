"""Whether demand keeps growing, and by how much it will have grown when a node that is ordered now has come.

What a node's own forecast knows of a ramp it knows late, through the noise of that node; the sum of all nodes is
calmer. Only growth that lasts counts: in both halves of three minutes, by more than two standard errors. A jump is
none, for it happens in one of them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import sqrt
from statistics import fmean

WINDOW = timedelta(seconds=180)
FEWEST = 4  # points in each half, below which a line through them says nothing
SURE = 2.0  # standard errors by which each half must grow; chosen, with the window, by `bench scaling`


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
    if not points or points[-1].demand <= 0:
        return 0.0
    middle = points[-1].at - WINDOW / 2
    early = [each for each in points if each.at <= middle]
    late = [each for each in points if each.at >= middle]
    if min(len(early), len(late)) < FEWEST:
        return 0.0
    return max(0.0, min(_slope(early), _slope(late))) * ahead_s / points[-1].demand


def _slope(points: list[Seen]) -> float:
    """Bytes per second gained each second, less what chance may have added."""
    at = [(each.at - points[0].at).total_seconds() for each in points]
    mean_at, mean = fmean(at), fmean(each.demand for each in points)
    away = [each - mean_at for each in at]
    spread = sum(each**2 for each in away)
    slope = sum(x * (each.demand - mean) for x, each in zip(away, points, strict=True)) / spread
    missed = sum((each.demand - mean - slope * x) ** 2 for x, each in zip(away, points, strict=True))
    return slope - SURE * sqrt(missed / (len(points) - 2) / spread)
