"""What was seen of each traffic class in one period: the sample that agent, lab and training share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERIOD_NS: Final = 100_000_000
"""The one definition of the 100 ms period: the agent's tick, a sample, a step of the model."""

COUNTERS: Final = ("bytes", "packets", "new_flows", "syns", "drops")
"""Grow for ever in the kernel; a sample holds what one period added."""

GAUGES: Final = ("backlog_bytes", "limit_bytes")
SOJOURNS: Final = ("sojourn_us_p50", "sojourn_us_p95", "sojourn_us_p99")


class Valid(IntFlag):
    """Which groups of a class's fields were really measured; the others are 0 and mean nothing."""

    COUNTERS = 1
    QUEUE = 2
    SOJOURN = 4


_COUNTER_BITS: Final = np.uint8(Valid.COUNTERS)
_QUEUE_BITS: Final = np.uint8(Valid.QUEUE | Valid.SOJOURN)  # once: combining flags takes longer than comparing arrays

ALL_VALID: Final = Valid.COUNTERS | Valid.QUEUE | Valid.SOJOURN

ROW: Final = np.dtype(
    [
        ("t_ns", "<i8"),
        ("class", "u1"),
        *[(name, "<u8") for name in (*COUNTERS, *GAUGES)],
        *[(name, "<u4") for name in SOJOURNS],
        ("valid", "u1"),
    ]
)
"""A class in a recording: one row of a table, in the order the contract names the fields."""

_KINDS: Final = {name: ROW[name].newbyteorder("=") for name in (*COUNTERS, *GAUGES, *SOJOURNS, "valid")}


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The ever-growing counters at one instant of the monotonic clock, one entry a class."""

    t_ns: int
    bytes: NDArray[np.uint64]
    packets: NDArray[np.uint64]
    new_flows: NDArray[np.uint64]
    syns: NDArray[np.uint64]
    drops: NDArray[np.uint64]

    def __post_init__(self) -> None:
        _check_columns(self, COUNTERS)


@dataclass(frozen=True, slots=True, eq=False)
class Queues:
    """What the buffer said of itself; `measured` has the bits QUEUE and SOJOURN where it could say it."""

    backlog_bytes: NDArray[np.uint64]
    limit_bytes: NDArray[np.uint64]
    sojourn_us_p50: NDArray[np.uint32]
    sojourn_us_p95: NDArray[np.uint32]
    sojourn_us_p99: NDArray[np.uint32]
    measured: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One period, struct of arrays. `period_ns` is how long it really was: a late tick covers more than one step."""

    t_ns: int
    period_ns: int
    bytes: NDArray[np.uint64]
    packets: NDArray[np.uint64]
    new_flows: NDArray[np.uint64]
    syns: NDArray[np.uint64]
    drops: NDArray[np.uint64]
    backlog_bytes: NDArray[np.uint64]
    limit_bytes: NDArray[np.uint64]
    sojourn_us_p50: NDArray[np.uint32]
    sojourn_us_p95: NDArray[np.uint32]
    sojourn_us_p99: NDArray[np.uint32]
    valid: NDArray[np.uint8]

    def __post_init__(self) -> None:
        _check_columns(self, tuple(_KINDS))
        if self.period_ns <= 0:
            raise Invalid(f"a sample of {self.period_ns} ns has no rates: take snapshots at different instants")

    def per_second(self, counter: str) -> NDArray[np.float64]:
        """A counter as a rate over the time the sample really covers; 0 where it was not measured."""
        if counter not in COUNTERS:
            raise Invalid(f"{counter} is no counter of a sample: use one of {', '.join(COUNTERS)}")
        column: NDArray[np.uint64] = getattr(self, counter)
        return column.astype(np.float64) * (1e9 / self.period_ns)

    def refused_bytes(self) -> NDArray[np.float64]:
        """What was dropped, if it was of the size of what arrived."""
        return self.drops * (self.bytes / np.maximum(self.packets, 1))

    def has(self, group: Valid) -> NDArray[np.bool_]:
        """Per class: whether all fields of the group were measured."""
        bits = int(group)
        return np.asarray((self.valid & bits) == bits, np.bool_)

    def rows(self) -> NDArray[np.void]:
        """The sample as rows of a recording, one a class."""
        table = np.zeros(CLASSES, ROW)
        table["t_ns"] = self.t_ns
        table["class"] = np.arange(CLASSES)
        for name in _KINDS:
            table[name] = getattr(self, name)
        return table


def from_rows(table: NDArray[Any], period_ns: int = PERIOD_NS) -> Sample:
    """A sample out of a recording: the rows of one instant, in any order; a class without a row was not measured."""
    if table.dtype != ROW:
        raise Invalid(f"rows of a sample have the fields {', '.join(ROW.names or ())} and nothing else")
    classes = table["class"]
    instants = np.unique(table["t_ns"])
    if len(instants) != 1 or len(np.unique(classes)) != len(classes) or classes.max() >= CLASSES:
        raise Invalid(f"a sample is made of rows of one instant with each class below {CLASSES} once")
    columns: dict[str, Any] = {name: np.zeros(CLASSES, kind) for name, kind in _KINDS.items()}
    for name, column in columns.items():
        column[classes] = table[name]
    return Sample(t_ns=int(instants[0]), period_ns=period_ns, **columns)


def between(before: Snapshot, after: Snapshot, queues: Queues) -> Sample:
    """The sample of the time from one snapshot to the next.

    A counter that went back was made anew (program reloaded, map replaced): what it says of the gap is unknown, so
    the class's counters of this period are 0 and not valid.
    """
    whole = np.all([getattr(after, name) >= getattr(before, name) for name in COUNTERS], axis=0)
    # Multiplied, because `where` with a literal 0 would not keep the type of the counters.
    added: dict[str, Any] = {name: (getattr(after, name) - getattr(before, name)) * whole for name in COUNTERS}
    queue_bits = queues.measured & _QUEUE_BITS
    return Sample(
        t_ns=after.t_ns,
        period_ns=after.t_ns - before.t_ns,
        backlog_bytes=queues.backlog_bytes,
        limit_bytes=queues.limit_bytes,
        sojourn_us_p50=queues.sojourn_us_p50,
        sojourn_us_p95=queues.sojourn_us_p95,
        sojourn_us_p99=queues.sojourn_us_p99,
        valid=queue_bits | whole * _COUNTER_BITS,
        **added,
    )


def no_queues() -> Queues:
    """For a node that only counts: nothing is known of a queue."""
    gauges: dict[str, Any] = {name: np.zeros(CLASSES, _KINDS[name]) for name in (*GAUGES, *SOJOURNS)}
    return Queues(measured=np.zeros(CLASSES, np.uint8), **gauges)


def _check_columns(of: Snapshot | Sample, names: tuple[str, ...]) -> None:
    for name in names:
        column = getattr(of, name)
        if column.shape != (CLASSES,) or column.dtype != _KINDS[name]:
            raise Invalid(f"{name} is {column.dtype}{list(column.shape)}, but must be {_KINDS[name]}[{CLASSES}]")
