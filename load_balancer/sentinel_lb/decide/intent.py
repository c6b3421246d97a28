"""The share that the balancer intends: bytes per second of each class for each node, told before the packets come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel_api.records import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sentinel_lb.decide.weights import Weights

Intent = dict[str, tuple[int, ...]]


def intended(names: Iterable[str], weights: Weights, expected: Mapping[int, float]) -> Intent:
    """`expected` is the bytes per second of a class that all nodes together will get."""
    return {
        name: tuple(
            round(weights[each][name].share * expected.get(each, 0.0)) if each in weights else 0
            for each in range(CLASSES)
        )
        for name in names
    }
