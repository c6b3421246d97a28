"""Whether a service answers behind each of its nodes, from what was asked of it end to end.

A node that lives says nothing about the service behind it: its kube-proxy may not know yet which pods there are. While
the service answers behind others, new clients are kept from such a node. A service that fails everywhere fails behind
every balancer, and is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SILENT_AFTER: Final = 3
"""Questions in a row; as many answers in a row are needed to be trusted again."""


FEW: Final = 1 / 2
NEARLY_ALL: Final = 3 / 4
"""Of all nodes at most so many may fail, and of the others at least so many must answer, before some are avoided."""
NOBODY: Final[frozenset[int]] = frozenset()


class Health(Enum):
    UNKNOWN = "unknown"
    ANSWERS = "answers"
    REFUSES = "refuses"
    SILENT = "silent"


BEST_FIRST: Final = (Health.ANSWERS, Health.UNKNOWN, Health.REFUSES, Health.SILENT)


@dataclass(frozen=True, slots=True)
class Checked:
    """By way of one node: `unanswered` questions since its last word; `failures`, without an answer or with a refusal,
    and `answers`, both in a row."""

    health: Health = Health.UNKNOWN
    unanswered: int = 0
    failures: int = 0
    answers: int = 0

    @property
    def fails(self) -> bool:
        """Whoever never had a word of it, as behind a node that is new, is told after the first question."""
        return self.failures >= (1 if self.health is Health.UNKNOWN else SILENT_AFTER)

    def asked(self) -> Checked:
        """Before the next question: the one before may still be on its way."""
        if not self.unanswered:
            return replace(self, unanswered=1)
        health = Health.SILENT if self.unanswered >= SILENT_AFTER else self.health
        return Checked(health, self.unanswered + 1, self.failures + 1)

    def answered(self, *, refused: bool) -> Checked:
        if refused:
            return Checked(Health.REFUSES, failures=self.failures + 1)
        return Checked(Health.ANSWERS, answers=self.answers + 1)


def best(found: Collection[Checked]) -> Health:
    """Of the service, by way of all its nodes: what clients meet at the best of them."""
    told = {each.health for each in found}
    return next((each for each in BEST_FIRST if each in told), Health.UNKNOWN)


def avoided(before: frozenset[int], found: Mapping[int, Checked]) -> frozenset[int]:
    """Numbers of the nodes behind which it fails, while it answers behind others; `before` is what this said last.

    It begins where few fail and nearly all others have answered for a while. What fails behind many, or now here and
    now there, is the service itself, or is overloaded: fewer nodes would make that worse."""
    failing = frozenset(
        number for number, each in found.items() if each.fails or (number in before and each.answers < SILENT_AFTER)
    )
    others = [each for number, each in found.items() if number not in failing]
    if not any(each.health is Health.ANSWERS for each in others):
        return NOBODY
    steady = sum(each.answers >= SILENT_AFTER for each in others)
    if len(failing) > FEW * len(found) or steady < NEARLY_ALL * len(others):
        return failing & before
    return failing
