"""Tier C: the interface stays as it is; nothing is queued, and the reason is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel_bpf.buffer.port import Reading, Tier, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sentinel_bpf.buffer.port import QueueClass


class ObserveBuffer:
    """Remembers what was wished for and changes nothing, so that the loop above runs the same in every tier."""

    def __init__(self, why: str) -> None:
        self._why = why
        self._limits: dict[int, int] = {}

    def probe(self) -> Verdict:
        return Verdict(Tier.OBSERVE, self._why)

    def configure(self, classes: Sequence[QueueClass]) -> None:
        self._limits = {each.id: each.limit_bytes for each in classes}

    def resize(self, limits: Mapping[int, int]) -> None:
        self._limits.update({each: limit for each, limit in limits.items() if each in self._limits})

    def read(self) -> Mapping[int, Reading]:
        return {each: Reading(0, 0, limit, 0, 0, 0) for each, limit in self._limits.items()}

    def detach(self) -> None:
        self._limits = {}
