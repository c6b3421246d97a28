"""Whether a service answers, from what was asked of it end to end: told to people, and steers nothing.

A node that lives says nothing about the service behind it, and a service that fails fails behind every balancer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

SILENT_AFTER: Final = 3
"""Questions in a row, each by way of another node where there are several."""


class Health(Enum):
    UNKNOWN = "unknown"
    ANSWERS = "answers"
    REFUSES = "refuses"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Checked:
    """`unanswered` questions since the last answer."""

    health: Health = Health.UNKNOWN
    unanswered: int = 0

    def asked(self) -> Checked:
        """Before the next question: the one before may still be on its way."""
        health = Health.SILENT if self.unanswered >= SILENT_AFTER else self.health
        return Checked(health, self.unanswered + 1)

    def answered(self, *, refused: bool) -> Checked:
        return Checked(Health.REFUSES if refused else Health.ANSWERS)
