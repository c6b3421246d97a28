"""The division of a pool: what must hold for every state of the world."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel_core.allocate import FORECAST_MAX_AGE_NS, allocate
from sentinel_core.forecast import checked
from sentinel_core.room import Held, Limits, Outlook, Seen, start

NOW = 10**12
S = 10**9
KIB = 1024
MIB = 1024 * KIB


class Worlds:
    """Random worlds by seed: hypothesis would spend its time drawing sixteen numbers for every array."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def sizes(self):
        """Small and large numbers side by side, so that pools are short as often as they are ample."""
        scale = self.random.choice([1, 64, MIB, 2**34], size=16)
        return self.random.integers(0, scale)

    def size(self):
        return int(self.random.choice(self.sizes())) * int(self.random.choice([1, 1, 16]))

    def rates(self):
        return self.random.random(16) * self.random.choice([0, 1e3, 1e6, 1e9], size=16)

    def limits(self):
        return Limits(
            pool_bytes=self.size(),
            lend_bytes=self.size(),
            floor_bytes=self.sizes(),
            max_delay_us=self.random.integers(0, 1_000_000, 16),
            priority=self.random.integers(0, self.random.integers(1, 8), 16),
            weight=self.random.integers(1, 1000, 16),
            drop_cost=self.random.choice([1, 5, 20, 21, 100, 1000], size=16),
            grow_step_bytes=self.size(),
            shrink_step_bytes=self.size(),
        )

    def seen(self):
        return Seen(
            now_ns=NOW,
            arrivals=self.rates(),
            drain=self.rates(),
            backlog_bytes=self.sizes(),
            flow_floor_bytes=self.random.integers(0, 64 * KIB, 16),
            measured=self.random.random(16) < 0.8,
        )

    def forecast(self):
        hazard = self.random.random((16, 10)) * self.random.choice([0, 0.02, 1], size=(16, 10))
        magnitude = self.random.random((16, 3)) * self.random.choice([0, 1e3, 1e6, 1e9], size=(16, 1))
        return checked(NOW, "model", hazard, magnitude, np.zeros((16, 4, 3)))

    def outlook(self):
        return Outlook(self.forecast(), self.random.choice([0, 0.5, 1], size=16, p=[0.1, 0.2, 0.7]))

    def held(self):
        limit = self.sizes()
        return Held(
            limit_bytes=limit,
            kept_bytes=limit // self.random.integers(1, 4),
            needed_ns=NOW - self.random.integers(0, 4 * S, 16),
            arrivals=self.rates(),
            backlog_bytes=self.sizes(),
            foreseen_bytes=self.sizes() * self.random.integers(0, 2, 16),
            foreseen_ns=NOW - self.random.integers(0, 2 * S, 16),
        )

    def world(self):
        """Arguments of `allocate`."""
        return self.limits(), self.seen(), self.outlook() if self.random.random() < 0.9 else None, self.held()


SEEDS = st.integers(0, 2**32)
WORLDS = SEEDS.map(lambda seed: Worlds(seed).world())
FORESEEN = SEEDS.map(Worlds).map(lambda worlds: (worlds.limits(), worlds.seen(), worlds.outlook(), worlds.held()))
many = settings(max_examples=150)


def permuted(value, order):
    """The same world with its classes renumbered."""
    changes = {}
    for name in value.__dataclass_fields__:
        column = getattr(value, name)
        if isinstance(column, np.ndarray):
            changes[name] = column[order]
        elif hasattr(column, "__dataclass_fields__"):
            changes[name] = permuted(column, order)
    return replace(value, **changes)


@many
@given(WORLDS)
def test_never_above_the_pool_nor_above_the_cap_whatever_the_floors(world):
    made = allocate(*world)
    assert (made.limit_bytes >= 0).all()
    assert made.limit_bytes.sum() <= world[0].pool_bytes
    assert (made.limit_bytes <= made.cap_bytes).all()
    assert (made.cap_bytes <= world[0].max_delay_us * world[1].drain / 1e6).all()


@many
@given(WORLDS)
def test_room_never_grows_into_memory_that_is_full_of_queued_bytes(world):
    limits, seen, *_ = world
    made = allocate(*world)
    floors_and_queues = np.maximum(made.static_bytes, seen.backlog_bytes).sum()
    assert np.maximum(made.limit_bytes, seen.backlog_bytes).sum() <= max(limits.pool_bytes, floors_and_queues)


@many
@given(WORLDS)
def test_never_below_the_floor_unless_the_cap_or_the_pool_forbid_it(world):
    limits, seen, *_ = world
    made = allocate(*world)
    floors = np.minimum(np.maximum(limits.floor_bytes, seen.flow_floor_bytes), made.cap_bytes)
    assert (made.limit_bytes >= made.static_bytes).all()
    if floors.sum() <= limits.pool_bytes:
        assert (made.limit_bytes >= floors).all()


@many
@given(WORLDS, st.permutations(range(16)))
def test_the_order_of_classes_is_irrelevant(world, order):
    made = allocate(*world)
    moved = allocate(*[None if part is None else permuted(part, np.array(order)) for part in world])
    for name in ("limit_bytes", "why", "burst", "draining", "reactive_bytes", "lent_bytes"):
        assert (getattr(moved, name) == getattr(made, name)[order]).all(), name


@many
@given(FORESEEN, st.integers(0, 15), st.floats(0, 1), st.one_of(st.floats(0, 1e4), st.floats(0, 1e9)))
def test_more_forecast_for_a_class_never_means_less_room_for_it(world, index, likelier, larger):
    limits, seen, outlook, held = world
    hazard, magnitude = outlook.forecast.hazard.copy(), outlook.forecast.magnitude_bytes.copy()
    hazard[index] = np.maximum(hazard[index], likelier)
    magnitude[index] += larger
    more = replace(outlook, forecast=checked(NOW, "model", hazard, magnitude, np.zeros((16, 4, 3))))
    before, after = allocate(limits, seen, outlook, held), allocate(limits, seen, more, held)
    assert after.limit_bytes[index] >= before.limit_bytes[index]


@many
@given(FORESEEN)
def test_a_forecast_never_takes_what_the_reactive_rule_would_have_had_but_from_those_that_give_way(world):
    limits, seen, outlook, held = world
    made, without = allocate(limits, seen, outlook, held), allocate(limits, seen, None, held)
    assert (made.limit_bytes >= without.reactive_bytes)[~made.draining].all()
    assert not made.draining[limits.drop_cost > 20].any()
    assert not without.draining.any()


@many
@given(FORESEEN)
def test_memory_allowing_nobody_has_less_than_a_plain_rule_that_knows_its_queue_alone(world):
    """Its floor above what waits or was refused, and twice what that grew by: whatever is forecast."""
    limits, seen, outlook, held = world
    random = np.random.default_rng(int(seen.backlog_bytes.sum()) % 2**32)
    limits = replace(limits, pool_bytes=2**40)
    seen = replace(seen, refused_bytes=random.integers(0, MIB, 16).astype(float), measured=np.ones(16, np.bool_))
    waiting = seen.backlog_bytes + seen.refused_bytes
    plain = limits.floor_bytes + waiting + 2 * np.maximum(waiting - held.backlog_bytes, 0)
    made = allocate(limits, seen, outlook, held)
    assert (made.limit_bytes >= np.minimum(plain, made.cap_bytes))[~made.draining].all()


@many
@given(FORESEEN)
def test_who_gives_way_gives_no_more_than_the_likely_bursts_of_earlier_priorities_get(world):
    limits, seen, outlook, held = world
    made = allocate(limits, seen, outlook, held)
    if made.draining.any():
        gainers = (made.forecast_bytes > made.reactive_bytes) | made.burst
        assert limits.priority[gainers].min() < limits.priority[made.draining].min()


@many
@given(FORESEEN)
def test_growth_in_a_tick_is_bounded_where_nothing_present_needs_it(world):
    limits, seen, outlook, held = world
    made = allocate(limits, seen, outlook, held)
    present = np.maximum(made.reactive_bytes, np.where(seen.measured, 0, held.limit_bytes))
    assert (made.limit_bytes <= np.maximum(held.limit_bytes + limits.grow_step_bytes, present)).all()


@many
@given(FORESEEN)
def test_room_that_nobody_else_needs_shrinks_by_steps_and_only_after_the_refractory(world):
    limits, seen, _, held = world
    ample = replace(limits, pool_bytes=2**40)
    made = allocate(ample, seen, None, held)
    rested = seen.now_ns - held.needed_ns >= limits.refractory_ns
    least = held.kept_bytes - np.where(rested, limits.shrink_step_bytes, 0)
    assert (made.limit_bytes >= np.minimum(least, made.cap_bytes)).all()


@given(FORESEEN, st.sampled_from([-1, FORECAST_MAX_AGE_NS + 1, 100 * S]))
def test_an_expired_forecast_or_one_from_the_future_means_the_reactive_rule(world, age_ns):
    limits, seen, outlook, held = world
    old = replace(outlook, forecast=replace(outlook.forecast, made_ns=NOW - age_ns))
    made, without = allocate(limits, seen, old, held), allocate(limits, seen, None, held)
    assert (made.limit_bytes == without.limit_bytes).all()


@given(FORESEEN)
def test_a_forecast_that_is_not_trusted_means_the_reactive_rule(world):
    limits, seen, outlook, held = world
    made = allocate(limits, seen, Outlook(outlook.forecast, np.zeros(16)), held)
    assert (made.limit_bytes == allocate(limits, seen, None, held).limit_bytes).all()


@given(SEEDS)
def test_the_bounds_hold_from_tick_to_tick(seed):
    worlds = Worlds(seed)
    limits, held = worlds.limits(), start(NOW)
    for _ in range(6):
        made = allocate(limits, worlds.seen(), worlds.outlook(), held)
        assert made.limit_bytes.sum() <= limits.pool_bytes
        assert (made.held.kept_bytes <= made.limit_bytes).all()
        held = made.held


# --- plain cases: class 1 is a database, class 2 telemetry, the others are not configured ------------------------


# --- signs, ceilings, least room, several interfaces -----------------------------------------------------------------

some = settings(max_examples=60)


@some
@given(FORESEEN)
def test_signs_and_announcements_take_nothing_from_what_the_reactive_rule_gives(world):
    limits, seen, outlook, held = world
    random = np.random.default_rng(int(seen.backlog_bytes.sum()) % 2**32)
    told = replace(seen, warning=random.random(16).round(), announced=random.random(16) * 1e9)
    made, without = allocate(limits, told, outlook, held), allocate(limits, seen, None, held)
    assert (made.limit_bytes >= without.reactive_bytes)[~made.draining].all()
    assert made.limit_bytes.sum() <= limits.pool_bytes
    assert (made.limit_bytes <= made.cap_bytes).all()


@some
@given(FORESEEN)
def test_memory_of_surges_takes_nothing_that_its_own_or_an_earlier_priority_needs_now(world):
    limits, seen, outlook, held = world
    random = np.random.default_rng(int(seen.backlog_bytes.sum()) % 2**32)
    remembered = np.where(random.random(16) < 0.5, random.integers(0, 2**34, 16), 0).astype(float)
    first = limits.priority[remembered > 0].min(initial=99)
    made = allocate(limits, replace(seen, sudden_bytes=remembered), outlook, held)
    without = allocate(limits, seen, None, held)
    assert made.limit_bytes.sum() <= limits.pool_bytes
    assert (made.limit_bytes <= made.cap_bytes).all()
    assert (made.limit_bytes >= without.reactive_bytes)[~made.draining & (limits.priority <= first)].all()


@some
@given(FORESEEN)
def test_memory_allowing_what_may_come_at_once_stays_free_above_what_waits_whatever_is_forecast(world):
    limits, seen, outlook, held = world
    random = np.random.default_rng(int(seen.backlog_bytes.sum()) % 2**32)
    limits = replace(limits, pool_bytes=2**40)
    seen = replace(seen, sudden_bytes=random.integers(0, MIB, 16).astype(float), measured=np.ones(16, np.bool_))
    made = allocate(limits, seen, outlook, held)
    ready = np.minimum(seen.backlog_bytes + seen.sudden_bytes, made.cap_bytes)
    assert (made.limit_bytes >= ready)[~made.draining].all()


@some
@given(WORLDS)
def test_a_ceiling_holds_and_least_room_is_there_whatever_the_cap_says(world):
    limits, seen, outlook, held = world
    ceiling = np.maximum(limits.floor_bytes, 3_028)
    bounded = replace(
        limits, pool_bytes=limits.pool_bytes + 16 * 3_028, ceiling_bytes=ceiling, least_bytes=np.full(16, 3_028)
    )
    made = allocate(bounded, seen, outlook, held)
    assert (made.limit_bytes >= 3_028).all()
    assert (made.limit_bytes <= ceiling).all()
    assert made.limit_bytes.sum() <= bounded.pool_bytes


@some
@given(WORLDS)
def test_floors_that_flows_ask_for_take_nothing_from_configured_ones(world):
    """A peer can pretend a long round trip. Where the pool is short, water-filling leaves a byte a class at most."""
    limits, seen, outlook, held = world
    calm = replace(seen, flow_floor_bytes=np.zeros(16, np.int64))
    greedy = replace(seen, flow_floor_bytes=np.full(16, 2**40))
    alone, crowded = (allocate(limits, each, outlook, held).static_bytes for each in (calm, greedy))
    assert (crowded >= alone - 16).all()


@some
@given(SEEDS)
def test_two_interfaces_never_hold_more_than_the_one_pool(seed):
    one, two = Worlds(seed), Worlds(seed + 1)
    limits, other = one.limits(), two.limits()

    def both(left, right):
        changes = {}
        for name in left.__dataclass_fields__:
            column = getattr(left, name)
            if isinstance(column, np.ndarray):
                changes[name] = np.concatenate([column, getattr(right, name)])
        return replace(left, **changes)

    made = allocate(both(limits, other), both(one.seen(), two.seen()), None, both(one.held(), two.held()))
    assert made.limit_bytes.shape == (32,)
    assert made.limit_bytes.sum() <= limits.pool_bytes
