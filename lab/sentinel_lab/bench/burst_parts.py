"""A comparison taken in parts: samples of several commands in one stored answer, and which code they were taken of."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sentinel_agent
import sentinel_bpf
import sentinel_core
import sentinel_lab
from sentinel_lab.bench import burst_figures
from sentinel_lab.dataplane import OBJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_lab.bench.burst_samples import Row

DECIDING: Final = (
    "name",
    "policy",
    "seed",
    "seconds",
    "drain_bytes_per_s",
    "pool_bytes",
    "floor_bytes",
    "past_seconds",
    "round_trip_ms",
)
"""Two rows that agree in these are samples of the same thing."""
SHOWN: Final = 12


def joined(before: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What was stored, with the samples of `new` beside it; one that was taken again replaces the one before."""
    again = {_key(row) for row in new["rows"]}
    rows = [*(row for row in before["rows"] if _key(row) not in again), *new["rows"]]
    made = sorted({*commands(before), *commands(new)})
    first = min(before["machine"].get("since", before["machine"]["date"]), new["machine"]["date"])
    return {
        "bench": "burst",
        "machine": {**new["machine"], "since": first},
        "commands": made,
        "metrics": burst_figures.metrics([row for row in rows if not row["dirt"]]),
        "rows": rows,
    }


def commands(answer: Mapping[str, Any]) -> list[str]:
    return list(answer.get("commands", [answer["machine"]["command"]]))


@functools.cache
def code() -> str:
    """Of all that decides what a sample shows: a sample kept from other code is none of this one's."""
    digest = hashlib.sha256(OBJECT.read_bytes())
    for package in (sentinel_agent, sentinel_core, sentinel_bpf, sentinel_lab):
        for each in sorted(Path(next(iter(package.__path__))).rglob("*.py")):
            digest.update(each.read_bytes())
    return digest.hexdigest()[:SHOWN]


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(each) or 0 for each in DECIDING)
