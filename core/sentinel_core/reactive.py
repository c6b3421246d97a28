"""The rule without foresight: room for what is queued and for what the present trend adds before one can act again.

It is the floor under every forecast, the fallback when there is none, and the baseline that prediction must beat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_core.sample import PERIOD_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH_PERIODS: Final = 2
"""An order given now is corrected one period later, by a sample that ends one period later still."""


def need_bytes(
    arrivals_bps: NDArray[np.float64],
    earlier_arrivals_bps: NDArray[np.float64],
    drain_bps: NDArray[np.float64],
    backlog_bytes: NDArray[np.float64],
    period_ns: int = PERIOD_NS,
    reach_periods: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Bytes per class: backlog + (arrivals - drain) x reach + slope x reach² / 2, the growth never below 0.

    Rates are bytes per second over this period and the one before; the slope counts only when it rises, since a
    falling one may turn before the next look. The reach is `REACH_PERIODS` unless one is given for each class.
    """
    if period_ns <= 0:
        raise Invalid(f"a reactive rule cannot look every {period_ns} ns: give it a period above 0")
    period_s = period_ns / 1e9
    reach_s = (REACH_PERIODS if reach_periods is None else reach_periods) * period_s
    slope = np.maximum(arrivals_bps - earlier_arrivals_bps, 0.0) / period_s
    growth = (arrivals_bps - drain_bps) * reach_s + slope * reach_s**2 / 2
    return np.maximum(backlog_bytes, 0.0) + np.maximum(growth, 0.0)


def going_on_bytes(
    backlog_bytes: NDArray[np.float64],
    earlier_backlog_bytes: NDArray[np.float64],
    reach_periods: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Bytes per class if the queue goes on growing as it just did. A burst that began within the period raised its
    mean rate by less than what it now brings, but the queue shows it."""
    reach = REACH_PERIODS if reach_periods is None else reach_periods
    return backlog_bytes + np.maximum(backlog_bytes - earlier_backlog_bytes, 0.0) * reach
