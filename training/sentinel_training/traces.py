"""Traces of a folder as counts a step at the finest resolution that is really theirs."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

STEP_S: Final = 1.0
SHORTEST_S: Final = 600.0
"""Sixty seconds of history, some bursts to learn from and some to be judged by need at least this."""
GAP_S: Final = 10
HISTORY: Final = 2.0 / 3.0
"""Of a second week that is cut, so much of the time is the first one's end."""
DENSE: Final = 0.9
"""Where so many seconds have an entry, a long run without any is a recorder that was off."""
OFF_GRID: Final = 0.05
"""Of a grid's step: what lies further from it is on none."""
LEVELS: Final = ("capacity_", "qps", "queue", "segment")
"""Columns that say how much there is, not what arrived."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """`warm_up` is how many of the steps are history that may be learned from but is not judged."""

    name: str
    step_s: float
    counts: Floats
    known: Bools
    warm_up: int


class NotUsable(Invalid):
    """This file cannot be judged at ten seconds; the sentence says why."""


def names(folder: Path) -> tuple[str, ...]:
    found = tuple(sorted(path.name.removesuffix(".csv.gz") for path in folder.glob("*.csv.gz")))
    if not found:
        raise Invalid(f"{folder} holds no trace: name a folder with files such as web.csv.gz")
    return found


def load(folder: Path, name: str, longest_s: float | None = None) -> Trace:
    """Judged on its second half; a `…_w2` whose `…_w1` is there is learned from that one and judged as a whole."""
    counts, known = _read(folder / f"{name}.csv.gz")
    first = name.removesuffix("_w2") + "_w1"
    if name.endswith("_w2") and (folder / f"{first}.csv.gz").exists():
        before, before_known = _read(folder / f"{first}.csv.gz")
        if longest_s is not None:
            # The second week follows at once, so phases hold whatever of the first is left out.
            before, before_known = before[-int(HISTORY * longest_s) :], before_known[-int(HISTORY * longest_s) :]
            rest = int((1.0 - HISTORY) * longest_s)
            counts, known = counts[:rest], known[:rest]
        warm_up = len(before)
        return Trace(name, STEP_S, np.concatenate([before, counts]), np.concatenate([before_known, known]), warm_up)
    if longest_s is not None:
        counts, known = counts[: int(longest_s)], known[: int(longest_s)]
    return Trace(name, STEP_S, counts, known, len(counts) // 2)


def _read(path: Path) -> tuple[Floats, Bools]:
    with gzip.open(path, "rt") as file:
        header = next(csv.reader(file))
    if header[0] != "t_seconds" or len(header) < 2:
        raise NotUsable(f"{path.name} is no trace: its first column must be t_seconds, and another must follow")
    if any(column.startswith(LEVELS) for column in header[1:]):
        raise NotUsable(f"{path.name} holds levels, not arrivals")
    times = np.loadtxt(path, delimiter=",", skiprows=1, usecols=0, ndmin=1)
    weights = None
    if _is_table_of_counts(times):
        weights = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, len(header)), ndmin=2).sum(axis=1)
    times = times - np.floor(times[0])
    _check(path.name, times)
    counts = np.bincount(np.floor(times + 1e-9).astype(np.int64), weights).astype(np.float64)
    return counts, _known(counts)


def _is_table_of_counts(times: Floats) -> bool:
    """One row a bin; rows of events share stamps or fall off the grid."""
    tenths = times * 10.0
    return bool((np.diff(times) > 0).all() and np.allclose(tenths, np.round(tenths), atol=1e-3))


def _check(name: str, times: Floats) -> None:
    if times[-1] < SHORTEST_S:
        raise NotUsable(f"{name} covers {times[-1]:.0f} s: at least {SHORTEST_S:.0f} are needed")
    stamps = np.unique(times)
    apart = np.diff(stamps)
    # Rounded stamps are off their grid by some milliseconds, so it is taken from all gaps, not from the shortest.
    grid = float((stamps[-1] - stamps[0]) / np.round(apart / apart.min()).sum())
    if grid > STEP_S + 1e-6 and np.abs(stamps / grid - np.round(stamps / grid)).max() < OFF_GRID:
        raise NotUsable(f"{name} is stamped every {grid:g} s: finer bins would hold false bursts")


def _known(counts: Floats) -> Bools:
    """Steps of a gap are unknown; whether an empty run is one shows only at its end, which is the one look ahead."""
    known = np.ones(len(counts), np.bool_)
    if (counts > 0).mean() < DENSE:
        return known
    edges = np.flatnonzero(np.diff(np.concatenate([[0], counts == 0, [0]])))
    for start, end in edges.reshape(-1, 2):
        if end - start >= GAP_S:
            known[start:end] = False
    return known
