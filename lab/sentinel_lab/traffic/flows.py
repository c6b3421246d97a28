"""The five flow types by their own shapes: what a packet train of each looks like when nobody smooths it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

Times = npt.NDArray[np.float64]

ANSWERS_PER_S: Final = 2.5
TOKENS_PER_S: Final = 50.0
ANSWER_S: Final = (2.0, 8.0)
"""An answer is read as it is written: its tokens come evenly for seconds."""

QUERIES_PER_S: Final = 150.0
ROWS: Final = 4.0
"""Most queries send little, some send hundreds of packets: a geometric tail."""

PIPELINES_PER_S: Final = 20.0
PIPELINED: Final = (16, 64)
"""A client that pipelines hands all its requests over at once."""

COPY_PPS: Final = 2_000.0
COPY_S: Final = 1.5
IDLE_S: Final = 4.0
"""Copies of files: full speed, then nothing; lengths have a heavy tail."""

DEVICES: Final = 300
TICK_S: Final = 1.0
TICK_JITTER_S: Final = 0.02
"""All devices report at the top of the second, give or take what their clocks differ by."""

BACK_TO_BACK_S: Final = 10e-6


def llm(seconds: float, random: np.random.Generator, scale: float) -> Times:
    starts = _poisson(ANSWERS_PER_S * scale, seconds, random)
    lengths = random.uniform(*ANSWER_S, size=starts.size)
    return _all(
        start + np.arange(int(length * TOKENS_PER_S)) / TOKENS_PER_S
        for start, length in zip(starts, lengths, strict=True)
    )


def database(seconds: float, random: np.random.Generator, scale: float) -> Times:
    starts = _poisson(QUERIES_PER_S * scale, seconds, random)
    return _trains(starts, random.geometric(1.0 / ROWS, size=starts.size))


def cache(seconds: float, random: np.random.Generator, scale: float) -> Times:
    starts = _poisson(PIPELINES_PER_S * scale, seconds, random)
    return _trains(starts, random.integers(*PIPELINED, size=starts.size))


def network(seconds: float, random: np.random.Generator, scale: float) -> Times:
    rate, at, copies = COPY_PPS * scale, float(random.exponential(IDLE_S)), []
    while at < seconds:
        length = min(30.0, COPY_S * (1.0 + float(random.pareto(2.0))))
        copies.append(at + np.arange(int(length * rate)) / rate)
        at += length + float(random.exponential(IDLE_S))
    return _all(copies)


def telemetry(seconds: float, random: np.random.Generator, scale: float) -> Times:
    ticks = np.arange(0.0, seconds, TICK_S)
    devices = max(1, round(DEVICES * scale))
    found: Times = np.maximum(ticks[:, None] + random.normal(0.0, TICK_JITTER_S, (ticks.size, devices)), 0.0).ravel()
    return found


SHAPES: Final[dict[str, Callable[[float, np.random.Generator, float], Times]]] = {
    "cache": cache,
    "database": database,
    "llm": llm,
    "network": network,
    "telemetry": telemetry,
}


def times(name: str, seconds: float, random: np.random.Generator, scale: float) -> Times:
    """In order, and within the run; never empty, so that every class is seen at least once."""
    found = np.sort(SHAPES[name](seconds, random, scale))
    found = found[found < seconds]
    return found if found.size else np.zeros(1)


def _poisson(rate: float, seconds: float, random: np.random.Generator) -> Times:
    return np.sort(random.uniform(0.0, seconds, size=random.poisson(rate * seconds)))


def _trains(starts: Times, lengths: npt.NDArray[np.int64]) -> Times:
    return _all(start + np.arange(length) * BACK_TO_BACK_S for start, length in zip(starts, lengths, strict=True))


def _all(parts: object) -> Times:
    listed = list(parts)  # type: ignore[call-overload]
    return np.concatenate(listed) if listed else np.zeros(0)
