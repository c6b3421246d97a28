"""Tier C: the interface stays as it is; nothing is queued, and the reason is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel_bpf.buffer.port import Reading, Tier, Toll, Verdict, check_classes, check_limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sentinel_bpf.buffer.port import Buffer, QueueClass


class ObserveBuffer:
    """Remembers what was wished for and changes nothing, so that the loop above runs the same in every tier."""

    def __init__(self, why: str, leavings: Buffer | None = None) -> None:
        """`leavings`: the buffer that knows how to take away what an earlier version left standing here."""
        self._why = why
        self._leavings = leavings
        self._limits: dict[int, int] = {}

    def probe(self) -> Verdict:
        return Verdict(Tier.OBSERVE, self._why)

    def configure(self, classes: Sequence[QueueClass]) -> Toll:
        check_classes(classes)
        self._limits = {each.id: each.limit_bytes for each in classes}
        return Toll()

    def resize(self, limits: Mapping[int, int]) -> None:
        check_limits(limits, self._limits)
        self._limits.update(limits)

    def read(self) -> Mapping[int, Reading]:
        return {each: Reading(0, 0, limit, 0, 0, 0) for each, limit in self._limits.items()}

    def detach(self) -> Toll:
        self._limits = {}
        return self._leavings.detach() if self._leavings is not None else Toll()
