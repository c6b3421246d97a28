"""Bulk TCP in closed loop: flows with a congestion window each, which grow by CUBIC, lose packets and back off.

As the kernel has it by default: slow start ends where waits grow (HyStart), not only where packets are lost, and a flow
that loses below its last peak leaves room to others (fast convergence).

A fluid of bytes per flow and quantum, clocked by acknowledgements that arrive one base round trip after the bytes left
the queue. Every flow has always something to send.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

MSS_BYTES: Final = 1448.0
BETA: Final = 0.7  # CUBIC, RFC 9438
CUBIC_C: Final = 0.4
START_SEGMENTS: Final = 10.0
LEAST_SEGMENTS: Final = 2.0
CONVERGING: Final = (1.0 + BETA) / 2.0
HYSTART_SEGMENTS: Final = 16.0
HYSTART_S: Final = (0.004, 0.016)
"""HyStart looks from this window on; an eighth of the least round trip more, within these, is a queue that grows."""
UNKNOWN_GAIN: Final = 0.05
"""Of what is acknowledged, before the first loss: the kernel does not wait for a cubic that has no peak to aim at."""
RENO_SLOPE: Final = 3.0 * (1.0 - BETA) / (1.0 + BETA)
DRAWS: Final = 4096


@dataclass(slots=True)
class Flow:
    """One connection: bytes in flight, and CUBIC's memory of its last loss."""

    window: float = START_SEGMENTS * MSS_BYTES
    threshold: float = math.inf
    most: float = 0.0
    turn_s: float = 0.0
    friendly: float = 0.0
    epoch_s: float = 0.0
    deaf_until_s: float = 0.0
    least_s: float = math.inf
    round_left: float = 0.0
    met_loss: bool = False
    flying: float = 0.0
    queued: float = 0.0
    sent: float = 0.0

    def back_off(self, now_s: float, deaf_s: float) -> None:
        self.most = self.window * (CONVERGING if self.window < self.most else 1.0)
        self.met_loss = True
        self.turn_s = math.cbrt(self.most / MSS_BYTES * (1.0 - BETA) / CUBIC_C)
        self.window = max(self.window * BETA, LEAST_SEGMENTS * MSS_BYTES)
        self.threshold = self.friendly = self.window
        self.epoch_s = now_s
        self.deaf_until_s = now_s + deaf_s

    def grow(self, acked: float, now_s: float, rtt_s: float, waited_s: float) -> None:
        """By what was acknowledged, not by time: a standing queue makes round trips longer, and this slower."""
        wide = max(self.window, MSS_BYTES)
        self.friendly += RENO_SLOPE * MSS_BYTES * acked / wide
        if self.window < self.threshold:
            self.window += acked
            self._watch(acked, now_s, rtt_s + waited_s)
            return
        age = now_s - self.epoch_s + rtt_s
        cubic = CUBIC_C * (age - self.turn_s) ** 3 * MSS_BYTES + self.most
        gain = (max(cubic, self.friendly) - self.window) / wide
        self.window += min(max(gain, 0.0 if self.met_loss else UNKNOWN_GAIN), 0.5) * acked

    def _watch(self, acked: float, now_s: float, took_s: float) -> None:
        """By the first answers of each round: those behind them have waited for the round's own packets."""
        self.least_s = min(self.least_s, took_s)
        self.round_left -= acked
        if self.round_left > 0.0:
            return
        self.round_left = self.window
        shortest, longest = HYSTART_S
        grown_s = min(max(self.least_s / 8.0, shortest), longest)
        if self.window >= HYSTART_SEGMENTS * MSS_BYTES and took_s > self.least_s + grown_s:
            self.most = self.threshold = self.friendly = self.window
            self.turn_s, self.epoch_s = 0.0, now_s


@dataclass(slots=True)
class _Heard:
    """What flows learn at one instant about losses of theirs."""

    lost: list[float]
    hit: list[bool] = field(default_factory=list)


class Bulk:
    """All flows go through one class of their node; a run's luck belongs to its seed."""

    def __init__(self, seed: int, flows: int, base_rtt_s: float, step_s: float) -> None:
        self._step_s = step_s
        self._rtt_s = base_rtt_s
        self._rtt = max(1, round(base_rtt_s / step_s))
        self._flows = [Flow() for _ in range(flows)]
        self._acks: list[tuple[list[float], float] | None] = [None] * (self._rtt + 1)
        self._losses: dict[int, _Heard] = {}
        self._luck: list[list[float]] = np.random.default_rng((seed, 77)).random((DRAWS, flows)).tolist()
        self._at = 0

    def send(self, now_s: float, waiting_s: float) -> float:
        """Bytes that arrive at the queue in this quantum; `waiting_s` is what the queue takes to drain."""
        heard = self._losses.pop(self._at, None)
        if heard is not None:
            self._hear(heard, now_s, waiting_s)
        acked = self._acks[self._at % (self._rtt + 1)]
        total = 0.0
        for index, flow in enumerate(self._flows):
            if acked is not None and acked[0][index] > 0.0:
                flow.flying -= acked[0][index]
                flow.grow(acked[0][index], now_s, self._rtt_s, acked[1])
            flow.sent = max(flow.window - flow.flying, 0.0)
            flow.flying += flow.sent
            total += flow.sent
        return total

    def served(self, dropped: float, served: float, waiting_s: float) -> None:
        """What the queue did with it, in bytes."""
        for flow in self._flows:
            flow.queued += flow.sent
        if dropped > 0.0:
            self._lose(dropped, waiting_s)
        total = sum(flow.queued for flow in self._flows)
        part = min(served / total, 1.0) if total > 0.0 else 0.0
        left = [flow.queued * part for flow in self._flows]
        for flow, gone in zip(self._flows, left, strict=True):
            flow.queued -= gone
        self._acks[(self._at + self._rtt) % (self._rtt + 1)] = left, waiting_s
        self._at += 1

    def _hear(self, heard: _Heard, now_s: float, waiting_s: float) -> None:
        for flow, lost, hit in zip(self._flows, heard.lost, heard.hit, strict=True):
            flow.flying -= lost
            if hit and now_s >= flow.deaf_until_s:
                flow.back_off(now_s, self._rtt_s + waiting_s)

    def _lose(self, dropped: float, waiting_s: float) -> None:
        """Bytes are lost by all that sent in this quantum; which flows lost a whole segment by it is chance."""
        total = sum(flow.sent for flow in self._flows)
        part = min(dropped / total, 1.0) if total > 0.0 else 0.0
        at = self._at + self._rtt + round(waiting_s / self._step_s)
        heard = self._losses.setdefault(at, _Heard([0.0] * len(self._flows), [False] * len(self._flows)))
        luck = self._luck[self._at % DRAWS]
        for index, flow in enumerate(self._flows):
            lost = flow.sent * part
            flow.queued -= lost
            heard.lost[index] += lost
            heard.hit[index] = heard.hit[index] or luck[index] < -math.expm1(-lost / MSS_BYTES)
