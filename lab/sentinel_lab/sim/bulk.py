"""Bulk TCP in closed loop: flows with a congestion window each, which grow by CUBIC, lose packets and back off.

A fluid of bytes per flow and quantum, clocked by acknowledgements that arrive one base round trip after the bytes left
the queue. Every flow has always something to send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MSS_BYTES: Final = 1448.0
BETA: Final = 0.7  # CUBIC, RFC 9438
CUBIC_C: Final = 0.4
START_SEGMENTS: Final = 10.0
LEAST_SEGMENTS: Final = 2.0
RENO_SLOPE: Final = 3.0 * (1.0 - BETA) / (1.0 + BETA)
LONGEST_WAIT_S: Final = 4.0
"""What a loss may stand in the queue before its flow hears of it; longer waits are cut to this."""
DRAWS: Final = 4096


class Bulk:
    """Flows of [lanes, flows]; all of them go through one class of their lane."""

    def __init__(self, seeds: list[int], flows: int, base_rtt_s: float, step_s: float) -> None:
        lanes = len(seeds)
        self._step_s = step_s
        self._rtt_s = base_rtt_s
        self._rtt = max(1, round(base_rtt_s / step_s))
        self._ring = self._rtt + round(LONGEST_WAIT_S / step_s) + 2
        self._acks = np.zeros((self._rtt + 1, lanes, flows))
        self._losses = np.zeros((self._ring, lanes, flows))
        self._hits = np.zeros((self._ring, lanes, flows), np.bool_)
        self._lanes = np.arange(lanes)
        self._at = 0
        self._window = np.full((lanes, flows), START_SEGMENTS * MSS_BYTES)
        self._threshold = np.full((lanes, flows), np.inf)
        self._most = np.zeros((lanes, flows))
        self._friendly = np.zeros((lanes, flows))
        self._epoch_s = np.zeros((lanes, flows))
        self._deaf_until_s = np.zeros((lanes, flows))
        self._flying = np.zeros((lanes, flows))
        self._queued = np.zeros((lanes, flows))
        # A table a lane, so that a lane's luck does not depend on which others are simulated beside it.
        self._luck = np.stack([np.random.default_rng((seed, 77)).random((DRAWS, flows)) for seed in seeds], axis=1)
        self._sent: Floats = np.zeros((lanes, flows))

    def send(self, now_s: float, waiting_s: Floats) -> Floats:
        """Bytes per lane that arrive at the queue in this quantum; `waiting_s` is what the queue takes to drain."""
        acked = self._acks[self._at % (self._rtt + 1)]
        lost = self._losses[self._at % self._ring]
        self._flying -= acked + lost
        hit = self._hits[self._at % self._ring]
        if hit.any():
            self._back_off(hit & (now_s >= self._deaf_until_s), now_s, waiting_s)
            hit[:] = False
        self._grow(acked, now_s)
        lost[:] = 0.0
        acked[:] = 0.0
        self._sent = np.maximum(self._window - self._flying, 0.0)
        self._flying += self._sent
        total: Floats = self._sent.sum(axis=1)
        return total

    def served(self, dropped: Floats, served: Floats, waiting_s: Floats) -> None:
        """What the queue did with it, in bytes per lane."""
        self._queued += self._sent
        if (dropped > 0).any():
            self._queued -= self._lose(dropped, waiting_s)
        total = self._queued.sum(axis=1)
        part = np.minimum(np.divide(served, total, out=np.zeros_like(total), where=total > 0), 1.0)
        left = self._queued * part[:, None]
        self._queued -= left
        self._acks[(self._at + self._rtt) % (self._rtt + 1)] = left
        self._at += 1

    def _lose(self, dropped: Floats, waiting_s: Floats) -> Floats:
        """Bytes are lost by all that sent in this quantum; which flows lost a whole segment by it is chance."""
        total = self._sent.sum(axis=1)
        part = np.minimum(np.divide(dropped, total, out=np.zeros_like(total), where=total > 0), 1.0)
        lost: Floats = self._sent * part[:, None]
        wait = np.minimum(np.rint(waiting_s / self._step_s).astype(np.int64), self._ring - self._rtt - 2)
        heard = (self._at + self._rtt + wait) % self._ring
        self._losses[heard, self._lanes] += lost
        self._hits[heard, self._lanes] |= self._luck[self._at % DRAWS] < -np.expm1(-lost / MSS_BYTES)
        return lost

    def _back_off(self, hit: NDArray[np.bool_], now_s: float, waiting_s: Floats) -> None:
        self._most = np.where(hit, self._window, self._most)
        smaller = np.maximum(self._window * BETA, LEAST_SEGMENTS * MSS_BYTES)
        self._window = np.where(hit, smaller, self._window)
        self._threshold = np.where(hit, smaller, self._threshold)
        self._friendly = np.where(hit, smaller, self._friendly)
        self._epoch_s = np.where(hit, now_s, self._epoch_s)
        self._deaf_until_s = np.where(hit, now_s + self._rtt_s + waiting_s[:, None], self._deaf_until_s)

    def _grow(self, acked: Floats, now_s: float) -> None:
        slow = self._window < self._threshold
        age = now_s - self._epoch_s + self._rtt_s
        most = self._most / MSS_BYTES
        turn = np.cbrt(most * (1.0 - BETA) / CUBIC_C)
        cubic = (CUBIC_C * (age - turn) ** 3 + most) * MSS_BYTES
        # By what was acknowledged, not by time: a standing queue makes round trips longer, and this growth slower.
        self._friendly += RENO_SLOPE * MSS_BYTES * acked / np.maximum(self._window, MSS_BYTES)
        wanted = np.maximum(cubic, self._friendly)
        gain = np.clip((wanted - self._window) / np.maximum(self._window, MSS_BYTES), 0.0, 0.5) * acked
        self._window += np.where(slow, acked, gain)
