"""When packets are due: each pattern is a schedule of arrival times, and the bursts in it that are the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sentinel_api.errors import Invalid
from sentinel_lab.traffic import flows, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of constant rate; `burst` marks what a forecast should have foreseen."""

    start_s: float
    end_s: float
    packets_per_s: float
    burst: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    times_s: Times
    bursts: tuple[tuple[float, float], ...]


CALM_PPS = 1_000.0
BURST_PPS = 10_000.0
CRON_SIGMA_S = 0.5
"""Jobs that a timetable starts are late by about this much."""
FLOOD_PPS = 12_000.0
SCHEDULED_PERIOD_S = 5.0
"""Many bursts in a minute, yet far enough apart for a standing queue to build up again in between."""


def periodic(seconds: float, _random: np.random.Generator) -> Iterator[Span]:
    """Ten times the calm rate, two seconds in every ten, first after four."""
    yield from _calm_with_bursts(seconds, [(start, 2.0) for start in np.arange(4.0, seconds, 10.0)])


def scheduled(seconds: float, random: np.random.Generator) -> Iterator[Span]:
    """50 to 500 ms of the burst rate, on a grid of five seconds: shorter than a standing queue takes to leave."""
    starts = np.arange(2.0, seconds, SCHEDULED_PERIOD_S)
    lengths = random.uniform(0.05, 0.5, size=starts.size)
    yield from _calm_with_bursts(seconds, list(zip(starts.tolist(), lengths.tolist(), strict=True)))


def cron(seconds: float, random: np.random.Generator, sigma_s: float = CRON_SIGMA_S) -> Iterator[Span]:
    """Every ten seconds a job of one second, late or early by a normal deviation."""
    due = np.arange(4.0, seconds, 10.0)
    starts = np.maximum(due + random.normal(0.0, sigma_s, size=due.size), 0.0)
    yield from _calm_with_bursts(seconds, [(start, 1.0) for start in np.sort(starts).tolist()])


def microburst(seconds: float, random: np.random.Generator) -> Iterator[Span]:
    """10 to 100 ms of the burst rate, about once a second."""
    starts = np.cumsum(random.uniform(0.5, 1.5, size=int(seconds * 2) + 1))
    lengths = random.uniform(0.01, 0.1, size=starts.size)
    yield from _calm_with_bursts(seconds, list(zip(starts.tolist(), lengths.tolist(), strict=True)))


def random_bursts(seconds: float, random: np.random.Generator) -> Iterator[Span]:
    """Bursts of two seconds at memoryless times, ten seconds apart on average: nothing can foresee them."""
    starts = np.cumsum(2.0 + random.exponential(8.0, size=int(seconds / 2) + 1))
    yield from _calm_with_bursts(seconds, [(start, 2.0) for start in starts.tolist()])


def synflood(seconds: float, random: np.random.Generator) -> Iterator[Span]:
    """A flood over the calm load at a memoryless time: five seconds in about thirty, at once and for no reason."""
    starts = np.cumsum(5.0 + random.exponential(20.0, size=int(seconds / 5) + 1))
    yield from _calm_with_bursts(seconds, [(start, 5.0) for start in starts.tolist()])


def syns(seconds: float, random: np.random.Generator) -> Iterator[Span]:
    """SYNs and nothing else: five seconds of them, first soon, then at memoryless times."""
    start = float(random.uniform(2.0, 5.0))
    while start < seconds:
        yield Span(start, start + 5.0, FLOOD_PPS, burst=True)
        start += 5.0 + float(random.exponential(15.0))


def precursor(seconds: float, _random: np.random.Generator) -> Iterator[Span]:
    """A ramp of five seconds up to double the calm rate, then two seconds of burst, every twelve seconds."""
    start = 0.0
    while start < seconds:
        yield Span(start, start + 5, CALM_PPS)
        for step in range(50):
            at = start + 5 + step * 0.1
            yield Span(at, at + 0.1, CALM_PPS * (1 + step / 50))
        yield Span(start + 10, start + 12, BURST_PPS, burst=True)
        start += 12


def flash(seconds: float, _random: np.random.Generator) -> Iterator[Span]:
    """One crowd: sudden, then decaying over half the run."""
    onset = seconds / 4
    yield Span(0, onset, CALM_PPS)
    for step in range(20):
        at = onset + step * seconds / 40
        rate = CALM_PPS + (BURST_PPS - CALM_PPS) * 0.8**step
        yield Span(at, at + seconds / 40, rate, burst=rate > 3 * CALM_PPS)
    yield Span(onset + seconds / 2, seconds, CALM_PPS)


def steady(seconds: float, _random: np.random.Generator) -> Iterator[Span]:
    yield Span(0, seconds, CALM_PPS)


PATTERNS: dict[str, Callable[[float, np.random.Generator], Iterator[Span]]] = {
    "cron": cron,
    "flash": flash,
    "microburst": microburst,
    "periodic": periodic,
    "precursor": precursor,
    "random": random_bursts,
    "scheduled": scheduled,
    "steady": steady,
    "syns": syns,
    "synflood": synflood,
}
TRACE = "trace:"
SPELLINGS = (*sorted({*PATTERNS, *flows.SHAPES}), "cron:SIGMA", "trace:PATH[@SPEED]")


def schedule(pattern: str, seconds: float, seed: int = 0, scale: float = 1.0, begin_s: float = 0.0) -> Schedule:
    """Arrival times within `seconds`; the same seed gives the same schedule. `begin_s` skips so much of a trace."""
    if seconds <= 0 or scale <= 0:
        raise Invalid("the run's length and the rate must be greater than zero")
    if pattern.startswith(TRACE):
        found = replay.replayed(pattern.removeprefix(TRACE), begin_s, seconds, scale)
        return Schedule(found.times_s, found.bursts)
    random = np.random.default_rng(seed)
    name, _, argument = pattern.partition(":")
    if name in flows.SHAPES and not argument:
        return Schedule(flows.times(name, seconds, random, scale), ())
    if name == "cron" and argument:
        spans = cron(seconds, random, _sigma(argument))
    elif name in PATTERNS and not argument:
        spans = PATTERNS[name](seconds, random)
    else:
        raise Invalid(f"there is no pattern {pattern!r}; choose one of {', '.join(SPELLINGS)}")
    cut = [each for each in (_cut(span, seconds) for span in spans) if each.end_s > each.start_s]
    times = np.concatenate([_evenly(span, scale) for span in cut] or [np.zeros(0)])
    return Schedule(times, tuple(_merged([(s.start_s, s.end_s) for s in cut if s.burst])))


def _sigma(text: str) -> float:
    try:
        sigma = float(text)
    except ValueError:
        sigma = -1.0
    if not 0.0 <= sigma <= 3.0:
        raise Invalid(f"cron:{text} has no jitter in seconds between 0 and 3; write for example cron:0.5")
    return sigma


def _calm_with_bursts(seconds: float, bursts: list[tuple[Any, float]]) -> Iterator[Span]:
    at = 0.0
    for start, length in bursts:
        if start >= seconds:
            break
        begin = max(at, float(start))
        yield Span(at, begin, CALM_PPS)
        yield Span(begin, begin + length, BURST_PPS, burst=True)
        at = begin + length
    yield Span(at, seconds, CALM_PPS)


def _cut(span: Span, seconds: float) -> Span:
    return Span(span.start_s, min(span.end_s, seconds), span.packets_per_s, span.burst)


def _evenly(span: Span, scale: float) -> Times:
    count = round((span.end_s - span.start_s) * span.packets_per_s * scale)
    return np.linspace(span.start_s, span.end_s, count, endpoint=False, dtype=np.float64)


def _merged(spans: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    current: tuple[float, float] | None = None
    for start, end in sorted(spans):
        if current and start <= current[1] + 1e-9:
            current = (current[0], max(current[1], end))
            continue
        if current:
            yield current
        current = (start, end)
    if current:
        yield current
