"""The FSU in a closed loop with a fluid model of the node: what foresight wins, and what wrong forecasts cost."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel_core.allocate import allocate
from sentinel_core.forecast import checked
from sentinel_core.room import Limits, Outlook, Seen, start
from sentinel_core.sample import PERIOD_NS
from sentinel_core.stages import YIELDING_DROP_COST

KIB = 1024
DATABASE, LLM, BULK = 1, 2, 3
DRAIN = np.zeros(16)
DRAIN[[DATABASE, LLM, BULK]] = 20e6, 20e6, 20e6
ONE_PACKET = 1514
STEPS = 10  # of the model per tick, 10 ms each
PATTERNS = range(4)


def column(database, llm, bulk, others=0):
    values = np.full(16, others, np.int64)
    values[[DATABASE, LLM, BULK]] = database, llm, bulk
    return values


LIMITS = Limits(
    pool_bytes=1024 * KIB,
    lend_bytes=512 * KIB,
    floor_bytes=column(32 * KIB, 32 * KIB, 16 * KIB),
    max_delay_us=column(30_000, 50_000, 50_000),
    priority=column(0, 1, 3, 7),
    weight=column(30, 20, 10, 1),
    drop_cost=column(100, 80, 20, 1),
)


@dataclass(frozen=True)
class Traffic:
    """Bytes that arrive in each step of the model, and the ticks in which a class's burst begins."""

    bytes: np.ndarray
    onsets: np.ndarray
    excess: float


def traffic(seed, ticks=120):
    """Bulk that always keeps its queue full, and bursts of 50 to 250 ms of the two dear classes at random."""
    random = np.random.default_rng(seed)
    arriving, onsets = np.zeros((ticks * STEPS, 16)), np.zeros((ticks, 16), bool)
    arriving[:, [DATABASE, LLM]] = 5e6 / 100
    arriving[:, BULK] = 22e6 / 100
    for each in (DATABASE, LLM):
        tick = 0
        while (tick := tick + int(random.integers(15, 50))) < ticks - 10:
            first = tick * STEPS + int(random.integers(STEPS))
            arriving[first : first + int(random.integers(5, 26)), each] += 17e6 / 100
            onsets[tick, each] = True
    return Traffic(arriving, onsets, excess=500 * KIB)


def nobody_foresees(_traffic, _tick):
    return None


def foreseen(traffic, tick, *, inverted=False):
    """All that begins within the next two seconds, exactly; or exactly the contrary of it."""
    soon = traffic.onsets[tick : tick + 20].any(axis=0)
    expected = ~soon if inverted else soon
    hazard, magnitude = np.zeros((16, 10)), np.zeros((16, 3))
    for each in (DATABASE, LLM):
        hazard[each, 0] = 0.99 * expected[each]
        magnitude[each] = traffic.excess
    return Outlook(checked(tick * PERIOD_NS, "model", hazard, magnitude, np.zeros((16, 4, 3))), np.ones(16))


def run(traffic, foresight):
    """Bytes dropped per class, and bulk served; the pool is a hard limit for all queues together."""
    backlog, dropped, served = np.zeros(16), np.zeros(16), np.zeros(16)
    held, arrived = start(0), np.zeros(16)
    for tick in range(len(traffic.onsets)):
        seen = Seen(
            now_ns=tick * PERIOD_NS,
            arrivals=arrived * 10,
            drain=DRAIN,
            backlog_bytes=backlog.astype(np.int64),
            flow_floor_bytes=np.zeros(16, np.int64),
            measured=np.ones(16, np.bool_),
        )
        made = allocate(LIMITS, seen, foresight(traffic, tick), held)
        held, arrived = made.held, np.zeros(16)
        for step in traffic.bytes[tick * STEPS : (tick + 1) * STEPS]:
            out = np.minimum(backlog + step, DRAIN / 100)
            waiting = backlog + step - out
            kept = np.minimum(waiting, np.maximum(made.limit_bytes, backlog - out))
            dropped += waiting - kept
            served += out
            arrived += step
            backlog = kept
            assert backlog.sum() <= LIMITS.pool_bytes + 1
    return dropped, served


def inverted(traffic, tick):
    return foreseen(traffic, tick, inverted=True)


WORSE_BY = 1.05
"""The stated bound. A class that gives way for nothing adds, once, what its queue held: never more than the pool."""


@pytest.mark.parametrize("seed", PATTERNS)
def test_with_every_forecast_inverted_nobody_fares_worse_than_under_the_reactive_rule(seed):
    check_inverted(seed, ticks=120)


@pytest.mark.fuzz
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(60, 200))
def test_inverted_forecasts_stay_within_the_bound_on_any_traffic(seed, ticks):
    check_inverted(seed, ticks)


def check_inverted(seed, ticks):
    bursts = traffic(seed, ticks)
    reactive, reactive_served = run(bursts, nobody_foresees)
    wrong, wrong_served = run(bursts, inverted)
    once = np.where(LIMITS.drop_cost <= YIELDING_DROP_COST, LIMITS.pool_bytes, ONE_PACKET)
    in_order = np.argsort(LIMITS.priority, kind="stable")
    # What an earlier priority is spared waits in the pool, and a later one finds it there: so down to each priority.
    lost, bound = (each[in_order].cumsum() for each in (wrong, reactive * WORSE_BY + once))
    assert (lost <= bound).all()
    assert wrong_served[BULK] >= 0.999 * reactive_served[BULK]


def test_foresight_saves_dear_bytes_where_a_cheap_class_fills_the_pool():
    lost = dict.fromkeys((nobody_foresees, foreseen), 0.0)
    for seed in PATTERNS:
        for foresight in lost:
            lost[foresight] += run(traffic(seed), foresight)[0][[DATABASE, LLM]].sum()
    assert lost[foreseen] < 0.1 * lost[nobody_foresees]
