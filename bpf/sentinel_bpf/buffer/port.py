"""What every tier of the buffer can do, in values that carry no kernel detail."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CLASSES = 16
UNMATCHED = 0
LARGEST_LIMIT_BYTES = 0xFFFFFFFF


class Tier(Enum):
    """How far this node can go on this interface."""

    BPF_QDISC = "A"
    HTB = "B"
    OBSERVE = "C"


class Direction(Enum):
    INGRESS = "Ingress"
    EGRESS = "Egress"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The tier a probe found, and the sentence for status: why not a better one."""

    tier: Tier
    why: str


@dataclass(frozen=True, slots=True)
class Interface:
    """Where the queue stands and how fast it may empty."""

    name: str
    direction: Direction
    rate_bytes_per_s: int


@dataclass(frozen=True, slots=True)
class QueueClass:
    """One class's share of the queue: what it is sure of, what it may borrow up to, and how many bytes may wait."""

    id: int
    guaranteed_bytes_per_s: int
    ceiling_bytes_per_s: int
    limit_bytes: int
    priority: int = 3  # 0 borrows first, 7 last


@dataclass(frozen=True, slots=True)
class Reading:
    """One class's queue now. `drops`, `sent_*` and `sojourn` only ever grow: take differences.

    `sojourn` counts packets by time spent in the queue, one entry for each of `sojourn_bounds_us`; it is empty in a
    tier that cannot measure it.
    """

    backlog_bytes: int
    backlog_packets: int
    limit_bytes: int
    sent_bytes: int
    sent_packets: int
    drops: int
    sojourn: tuple[int, ...] = ()


@dataclass(slots=True)
class Toll:
    """What it cost to exchange a queue or to end it: packets dropped, and a sentence for each cause."""

    packets: int = 0
    why: list[str] = field(default_factory=list)

    def add(self, packets: int, why: str) -> None:
        self.packets += packets
        self.why.append(why)


class Buffer(Protocol):
    """A queue for one interface. Errors: Invalid (asked wrongly), Transient (busy), Unsupported (cannot here)."""

    def probe(self) -> Verdict:
        """What this buffer can do here. Changes nothing."""

    def configure(self, classes: Sequence[QueueClass]) -> Toll:
        """Make the queue have exactly these classes. What stands in a class that stays is kept."""

    def resize(self, limits: Mapping[int, int]) -> None:
        """Set limits in bytes; returns when the kernel has confirmed them.

        Growing loses nothing. Shrinking below the backlog drops nothing either: what stands in the queue is sent, and
        arrivals are refused until it is below the new limit.
        """

    def read(self) -> Mapping[int, Reading]:
        """Every configured class, by id."""

    def detach(self) -> Toll:
        """Hand the interface back as it was, after what still waits has been sent as far as the device takes it."""


def check_classes(classes: Sequence[QueueClass]) -> None:
    """Invalid unless every tier could take them; each tier asks before it changes anything."""
    ids = [each.id for each in classes]
    if UNMATCHED not in ids:
        raise Invalid("class 0 (unmatched traffic) is missing; every queue needs it")
    if len(set(ids)) != len(ids) or not all(0 <= each < CLASSES for each in ids):
        raise Invalid(f"class ids must be different and between 0 and {CLASSES - 1}")
    check_limits({each.id: each.limit_bytes for each in classes}, ids)


def check_limits(limits: Mapping[int, int], known: Iterable[int]) -> None:
    unknown = limits.keys() - set(known)
    if unknown:
        raise Invalid(f"class {min(unknown)} is not configured")
    if not all(1 <= each <= LARGEST_LIMIT_BYTES for each in limits.values()):
        raise Invalid(f"a class's limit must be between 1 and {LARGEST_LIMIT_BYTES} bytes")


def sojourn_bounds_us(buckets: int) -> tuple[float, ...]:
    """Lower bound of each bucket in microseconds: four an octave, from one microsecond."""
    return tuple((1 << bucket // 4) * (1 + bucket % 4 / 4) for bucket in range(buckets))


def sojourn_quantile_us(histogram: Iterable[int], quantile: float) -> float:
    """Between the bounds of the bucket that holds it, as if a bucket's packets were spread evenly over it."""
    counts = tuple(histogram)
    rank = quantile * sum(counts)
    bounds = sojourn_bounds_us(len(counts) + 1)
    seen = 0
    for bucket, count in enumerate(counts):
        if count and seen + count >= rank:
            return bounds[bucket] + (bounds[bucket + 1] - bounds[bucket]) * (rank - seen) / count
        seen += count
    return 0.0
