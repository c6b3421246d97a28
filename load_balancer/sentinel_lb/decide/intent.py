"""The share that the balancer intends: bytes per second of each class for each node, told before the packets come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel_api.records import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Intent = dict[str, tuple[int, ...]]


def intended(names: Iterable[str], shares: Mapping[int, Mapping[str, float]], expected: Mapping[int, float]) -> Intent:
    """`shares` are of a class's new traffic, by class and node; `expected` is the bytes per second of a class that all
    nodes together will get."""
    listed = list(names)
    columns = [_column(listed, shares.get(each), expected.get(each, 0.0)) for each in range(CLASSES)]
    return dict(zip(listed, zip(*columns, strict=True), strict=True))


def _column(names: Sequence[str], share: Mapping[str, float] | None, expected: float) -> Sequence[int]:
    if share is None or not expected:
        return (0,) * len(names)
    return [round(share[name] * expected) for name in names]
