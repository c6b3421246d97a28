"""Real traces as arrival times: counts or bytes per bin, or one row an event, at a chosen speed.

A trace is a CSV file (gzip or not) whose first column is `t_seconds`; it is named by its path and never copied. Its
own amplitude means nothing to a lab link, so the mean of the part that is replayed is brought to a fixed load and its
shape is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from pyarrow import csv as arrow_csv
from pyarrow.lib import ArrowInvalid

from sentinel_api.errors import Invalid
from sentinel_core.events import LIVE, Onsets

if TYPE_CHECKING:
    from collections.abc import Sequence

Times = npt.NDArray[np.float64]

MEAN_PPS: Final = 3_000.0
"""Of the replayed part: three eighths of what the lab's link carries, so that only what stands out must wait."""
MOST_PPS: Final = 20_000.0
"""A single row that stands for gigabytes is cut here: two and a half times what the link carries is burst enough."""
BIN_S: Final = 0.1
AMOUNTS: Final = ("requests", "bytes", "capacity_bytes", "output_bytes", "output_tokens", "images")
"""The columns that say how much came, the first that is there; a file without any has one row an event."""
SETTLE_S: Final = 60.0
"""What counts as a burst is told against so much of the time before."""


@dataclass(frozen=True, slots=True)
class Trace:
    at_s: Times
    amount: Times
    resolution_s: float
    """0 where rows are events."""


@dataclass(frozen=True, slots=True)
class Replayed:
    times_s: Times
    bursts: tuple[tuple[float, float], ...]


def replayed(spelled: str, begin_s: float, seconds: float, scale: float = 1.0) -> Replayed:
    """`PATH` or `PATH@SPEED`; all times are those of the replay, so that a speed of 10 takes ten seconds into one."""
    path, speed = _parsed(spelled)
    trace = read(path)
    bins = round((begin_s + seconds) / BIN_S)
    edges: Times = np.linspace(0.0, bins * BIN_S, bins + 1, dtype=np.float64)
    amounts = _binned(trace, edges * speed)
    first = round(begin_s / BIN_S)
    mean = amounts[first:].mean()
    if mean <= 0:
        raise Invalid(f"{path} is silent in that part: replay it faster, or another part of it")
    packets = _whole(np.minimum(amounts / mean * MEAN_PPS, MOST_PPS) * BIN_S * scale)
    starts = np.repeat(edges[first:-1], packets[first:])
    within = np.concatenate([np.arange(count) / count for count in packets[first:] if count])
    times = starts + within * BIN_S - begin_s
    return Replayed(times, tuple(_bursts(packets, first, round(seconds / BIN_S))))


@lru_cache(maxsize=2)
def read(path: str) -> Trace:
    if not Path(path).is_file():
        raise Invalid(f"there is no trace at {path}: give the path of a CSV file with a column t_seconds")
    try:
        table = arrow_csv.read_csv(path)
    except ArrowInvalid as error:
        raise Invalid(f"{path} is no CSV file: {str(error).splitlines()[0]}") from error
    if table.column_names[:1] != ["t_seconds"] or not table.num_rows:
        raise Invalid(f"{path} is no trace: its first column must be t_seconds, with at least one row")
    at = _column(table, "t_seconds")
    amount = next((_column(table, name) for name in AMOUNTS if name in table.column_names), None)
    counts = [name for name in table.column_names[1:] if name.startswith(("dns_", "tls_", "capacity_packets"))]
    gaps = np.diff(at)
    regular = bool(gaps.size) and float(gaps.min()) > 0 and ("requests" in table.column_names or bool(counts))
    if amount is None:
        amount = sum((_column(table, name) for name in counts), np.zeros(at.size)) if counts else np.ones(at.size)
    order = np.argsort(at, kind="stable")
    return Trace(at[order], np.maximum(amount[order], 0.0), float(gaps.min()) if regular else 0.0)


def _parsed(spelled: str) -> tuple[str, float]:
    path, at, speed = spelled.rpartition("@")
    if not at:
        return spelled, 1.0
    try:
        value = float(speed)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise Invalid(f"a trace cannot be replayed at speed {speed!r}: write for example trace:{path}@10")
    return path, value


def _column(table: Any, name: str) -> Times:
    found: Times = np.nan_to_num(table[name].to_numpy(zero_copy_only=False).astype(np.float64))
    return found


def _binned(trace: Trace, edges_s: Times) -> Times:
    """Amounts per replayed bin; a trace that is too short begins again."""
    length_s = float(trace.at_s[-1] - trace.at_s[0]) + max(trace.resolution_s, BIN_S)
    rounds, within_s = np.divmod(edges_s, length_s)
    found: Times = np.diff(rounds * trace.amount.sum() + _until(trace, within_s + trace.at_s[0]))
    return found


def _until(trace: Trace, at_s: Times) -> Times:
    """What came before; what a trace counts over a second is spread over that second, not put at its start."""
    running = np.concatenate([[0.0], np.cumsum(trace.amount)])
    if not trace.resolution_s:
        return running[np.searchsorted(trace.at_s, at_s)]
    corners_s = np.stack([trace.at_s, trace.at_s + trace.resolution_s], axis=1).ravel()
    corners = np.stack([running[:-1], running[1:]], axis=1).ravel()
    found: Times = np.interp(at_s, corners_s, corners)
    return found


def _whole(packets: Times) -> npt.NDArray[np.int64]:
    """Whole packets whose running sum never strays by one from what is due."""
    return np.diff(np.floor(np.concatenate([[0.0], np.cumsum(packets)]) + 1e-9)).astype(np.int64)


def _bursts(packets: npt.NDArray[np.int64], first: int, count: int) -> Sequence[tuple[float, float]]:
    """By the rule that the product is scored by, on what is replayed; times count from the start of the run."""
    onsets, found, open_ = Onsets(1, BIN_S, LIVE), [], -1
    known = np.ones(1, np.bool_)
    for step in range(max(0, first - round(SETTLE_S / BIN_S)), first + count):
        begun = bool(onsets.step(packets[step : step + 1].astype(np.float64), known)[0])
        if open_ >= 0 and not onsets.above[0]:
            found.append((open_ * BIN_S, (step - first) * BIN_S))
            open_ = -1
        if begun and open_ < 0 and step >= first:
            open_ = step - first
    if open_ >= 0:
        found.append((open_ * BIN_S, count * BIN_S))
    return found
