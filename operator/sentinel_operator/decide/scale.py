"""Demand to a number of nodes: bounds, steps, tolerance and patience. The history goes in and out as a value."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sentinel_api.v1alpha1.clusterstatus import RecentNeed
from sentinel_api.v1alpha1.scaling import MAX_NODES, Scaling
from sentinel_operator.decide.demand import Demand, Known

SLICES = 10  # of the stabilisation window: enough to let a peak go in time, few enough for a status
LONGEST_GAP_INTERVALS = 3  # a history with a longer hole proves nothing …
LONGEST_GAP_S = 60  # … but a change of leaders fits in
ROUNDING = 1e-9
DOUBT = 0.5  # of the way from the median of what may come to its 95th percentile; chosen by `bench scaling`,
DOUBT_MOST = 0.2  # … as is the share of the median that doubt may add


@dataclass(frozen=True, slots=True)
class State:
    """What the last decision left behind."""

    nodes: int
    recent: tuple[RecentNeed, ...] = ()
    observed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` says why the number is what it is, `limited` what kept it from what was called for (or nothing)."""

    target: int
    required: int  # by the forecast, before bounds and steps
    reactive: int  # by present demand alone
    reason: str
    limited: str
    recent: tuple[RecentNeed, ...]


@dataclass(frozen=True, slots=True)
class _Need:
    """Nodes as a fraction: `up` is what was seen, `down` counts silent nodes too and is never less."""

    forecast: float
    reactive: float
    up: float
    down: float


def decide(rules: Scaling, state: State, demand: Demand, now: datetime, floor: int = 0) -> Verdict:
    """`floor`: a number that a person asked for, below which nothing goes; it counts within min and max."""
    need = _need(rules, demand)
    called = _nodes(need.down)
    unsure = _unsure(rules, demand)
    recent = _remembered(rules, state, max(called, state.nodes) if unsure else called, now)
    lower = min(max(rules.min, floor), rules.max)
    target, reason, limited = state.nodes, unsure or "AsRequired", unsure
    if _nodes(need.up) > state.nodes and unsure in _GROWS:
        target, reason, limited = _up(rules, state.nodes, need)
    elif not unsure and state.nodes > lower:
        target, reason, limited = _down(rules, state.nodes, called, _peak(rules, recent, now))
    bounded = min(max(target, lower), rules.max)
    if bounded > target:
        reason, limited = reason if bounded < state.nodes else "MinNodes", "MinNodes"
    elif bounded < target or (unsure in _GROWS and _nodes(need.up) > rules.max):
        reason, limited = "MaxNodes" if bounded < state.nodes else reason, "MaxNodes"
    elif bounded == lower and called < lower and not unsure:
        limited = "MinNodes"
    return Verdict(bounded, _nodes(need.forecast), _nodes(need.reactive), reason, limited, recent)


def _need(rules: Scaling, demand: Demand) -> _Need:
    """Never below what a rule without foresight would have, so that a wrong forecast cannot do worse than it."""
    forecast, reactive = _expected(rules, demand, demand.seen), _present(rules, demand.seen)
    feared, present = _expected(rules, demand, demand.feared), _present(rules, demand.feared)
    if not demand.believable(rules.coverage.min_percent):
        return _Need(forecast, reactive, reactive, present)
    return _Need(forecast, reactive, max(forecast, reactive), max(feared, present))


def _expected(rules: Scaling, demand: Demand, known: Known) -> float:
    """Doubt is a margin already: the headroom on top of it would pay twice for the same. Half of it counts, and no more
    than a bound; at the whole of it every node that may be called for once in twenty times is paid for always. Growth
    that lasts counts even where the nodes' forecasts do not see it. Where forecasts have not paid of late they may ask
    for nothing that present demand does not."""
    if not demand.pays:
        known = Known(known.now, min(known.p50, known.now), min(known.p50, known.now))
    doubted = known.p50 + min(DOUBT * (known.p95 - known.p50), DOUBT_MOST * known.p50)
    foreseen = max(known.p50, known.now * (1 + demand.rise) if demand.rise else 0.0)
    return max(doubted, foreseen * _with_headroom(rules)) / rules.node_capacity_bytes_per_second


def _present(rules: Scaling, known: Known) -> float:
    return known.now * _with_headroom(rules) / rules.node_capacity_bytes_per_second


def _with_headroom(rules: Scaling) -> float:
    return 1 + rules.headroom_percent / 100


_GROWS = ("", "LowCoverage")


def _unsure(rules: Scaling, demand: Demand) -> str:
    """Why nothing may be given back; all but low coverage also forbid to grow, for there is nothing to go by."""
    if not demand.reporting:
        return "NoReports"
    if rules.fallback == "Hold" and not demand.believable(rules.coverage.min_percent):
        return "ForecastsNotTrusted"
    return "LowCoverage" if demand.coverage_percent < rules.coverage.min_percent else ""


def _nodes(amount: float) -> int:
    return ceil(amount - ROUNDING)


def _up(rules: Scaling, nodes: int, need: _Need) -> tuple[int, str, str]:
    called, reachable = _nodes(need.up), nodes + rules.scale_up.max_step_nodes
    if called <= nodes * (1 + rules.tolerance_percent / 100) and nodes:
        return nodes, "WithinTolerance", ""
    reason = "Forecast" if need.up > need.reactive else "PresentDemand"
    return min(called, reachable), reason, "StepLimit" if called > reachable else ""


def _down(rules: Scaling, nodes: int, called: int, peak: int) -> tuple[int, str, str]:
    if not _clearly_fewer(rules, called, nodes):
        return nodes, "AsRequired", ""
    if rules.mode == "ScaleOutOnly":
        return nodes, "ScaleOutOnly", "ScaleOutOnly"
    if not _clearly_fewer(rules, peak, nodes):
        return nodes, "Stabilising", "Stabilising"
    reachable = nodes - rules.scale_down.max_step_nodes
    return max(peak, reachable), "LessDemand", "StepLimit" if peak < reachable else ""


def _clearly_fewer(rules: Scaling, needed: int, nodes: int) -> bool:
    return needed < nodes - 1 and needed < nodes * (1 - rules.tolerance_percent / 100)


def _peak(rules: Scaling, recent: tuple[RecentNeed, ...], now: datetime) -> int:
    """The most that was called for in the window; without bound while the history does not reach back far enough."""
    return max(need.nodes for need in recent) if recent[-1].since <= now - _window(rules) else MAX_NODES


def _window(rules: Scaling) -> timedelta:
    return timedelta(seconds=rules.scale_down.stabilisation_seconds)


def _remembered(rules: Scaling, state: State, called: int, now: datetime) -> tuple[RecentNeed, ...]:
    """Newest first: the highest need of each slice of the window, and the one slice that reaches back beyond it."""
    gap_s = max(LONGEST_GAP_INTERVALS * rules.interval_seconds, LONGEST_GAP_S)
    known = state.recent if state.observed_at and now - state.observed_at <= timedelta(seconds=gap_s) else ()
    window = _window(rules)
    if known and now < known[0].since + window / SLICES:
        known = (known[0].model_copy(update={"nodes": max(known[0].nodes, called)}), *known[1:])
    else:
        known = (RecentNeed(since=now, nodes=called), *known)
    return tuple(_within(known, now - window))


def _within(slices: tuple[RecentNeed, ...], horizon: datetime) -> Iterable[RecentNeed]:
    """A slice ends where the newer one begins."""
    for number, each in enumerate(slices):
        if number and slices[number - 1].since <= horizon:
            return
        yield each
