"""Bounded FIFO queues of one node that share its drain, one small quantum of time a step.

Tier B as the kernel runs it: every class is served up to its guaranteed rate first, what is left of the link goes to
classes that still wait in proportion to their guarantees (HTB's quanta), and rates carry two milliseconds of tokens.
Within a quantum arrivals and service are even, so a step is exact for rates that are constant in it.

Plain floats and lists: for two to six classes a call into numpy costs more than the sum it makes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKENS_S: Final = 0.002
"""As `Plumbing._class` sets burst and cburst: a fiftieth of a second's tenth."""

EMPTY_BYTES: Final = 1e-6
LEAST_WEIGHT: Final = 1e-9


class Queues:
    """By column of the classes; `served` and `dropped` are of the last step."""

    def __init__(
        self,
        drain: float,
        share: Sequence[float],
        frame_bytes: Sequence[float],
        limit: Sequence[float],
        step_s: float,
    ) -> None:
        self._columns = range(len(share))
        self._link = drain * step_s
        self._link_tokens = drain * TOKENS_S
        self.guaranteed = [drain * each * step_s for each in share]
        self._tokens = [drain * each * TOKENS_S for each in share]
        self._weight = [max(each, LEAST_WEIGHT) for each in share]
        self._frame = list(frame_bytes)
        self._link_credit = self._link_tokens
        self._credit = list(self._tokens)
        self.backlog = [0.0] * len(share)
        self.served = [0.0] * len(share)
        self.dropped = [0.0] * len(share)
        self.limit: list[float] = []
        self._room: list[float] = []
        self.resize(limit)

    def resize(self, limits: Sequence[float]) -> None:
        """Shrinking drops nothing that stands in the queue; arrivals are refused until it is below the limit. A bfifo
        takes whole frames only."""
        self.limit = [float(each) for each in limits]
        self._room = [limit // frame * frame for limit, frame in zip(self.limit, self._frame, strict=True)]

    def rested(self) -> bool:
        """Nothing waits and all tokens are there: a step in which every class stays within its guarantee then changes
        nothing, and serves what arrives."""
        return not any(self.backlog) and self._link_credit == self._link_tokens and self._credit == self._tokens

    def step(self, arriving: Sequence[float]) -> None:
        backlog, credit, guaranteed, tokens = self.backlog, self._credit, self.guaranteed, self._tokens
        sure, wanting, thirsty = [], [], 0
        wanted, left = 0.0, self._link + self._link_credit
        for column in self._columns:
            present = backlog[column] + arriving[column]
            within = guaranteed[column] + credit[column]
            if present > within:
                wanting.append(present - within)
                wanted += present - within
                thirsty += 1
            else:
                within = present
                wanting.append(0.0)
            sure.append(within)
            left -= within
            saved = credit[column] + guaranteed[column] - within
            credit[column] = saved if saved < tokens[column] else tokens[column]
        borrowed = wanting
        if wanted > left:
            borrowed = self._shared(wanting, left) if thirsty > 1 else [min(each, max(left, 0.0)) for each in wanting]
        served, dropped = [], []
        for column in self._columns:
            lent = borrowed[column]
            served.append(sure[column] + lent)
            left -= lent
            after = wanting[column] - lent
            over = after - self._room[column]
            lost = 0.0
            if over > 0.0:
                lost = over if over < arriving[column] else arriving[column]
            dropped.append(lost)
            backlog[column] = after - lost
        self._link_credit = left if left < self._link_tokens else self._link_tokens
        self.served, self.dropped = served, dropped

    def _shared(self, wanting: Sequence[float], rest: float) -> list[float]:
        """Connected vessels: in each round who wants less than an even share is sated, and the rest share on."""
        thirst = list(wanting)
        found = [0.0] * len(thirst)
        for _ in self._columns:
            thirsty = [column for column in self._columns if thirst[column] > EMPTY_BYTES]
            total = sum(self._weight[column] for column in thirsty)
            if rest <= EMPTY_BYTES or not thirsty:
                break
            part, rest_before = rest / total, rest
            for column in thirsty:
                given = min(self._weight[column] * part, thirst[column])
                found[column] += given
                thirst[column] -= given
                rest -= given
            if rest == rest_before:
                break
        return found
