"""Orders: conversions never wrap, and the fields are those of the C struct."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_core import orders, pid
from sentinel_core.orders import Order, columns, exit_words, from_q16, lease_only, q16, words

BITS = {"SN_ORDER_POLICE": 1, "SN_ORDER_MARK": 2, "SN_ORDER_QUEUE": 4}
BUILT = Path(__file__).parents[3] / "bpf" / "build" / "agent.bpf.o"
GAINS = st.builds(pid.Gains, *[st.floats()] * 3)
ORDERS = st.builds(
    Order, st.integers(-5, 2**70), st.integers(-5, 2**70), st.integers(-5, 2**40), GAINS,
    st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip


@given(st.floats(0, 65_535))
def test_q16_is_the_nearest_fixed_point_number(value):
    assert abs(from_q16(q16(value)) - value) <= 0.5 / 65_536


@pytest.mark.parametrize(
    ("value", "fixed"),
    [(0.5, 32_768), (1.0, 65_536), (-1.0, 0), (float("nan"), 0), (float("inf"), 2**32 - 1), (65_536.0, 2**32 - 1)],
)
def test_q16_clamps_what_does_not_fit(value, fixed):
    assert q16(value) == fixed


@pytest.mark.parametrize("gains", [pid.CALM, pid.BURST])
def test_the_two_sets_of_gains_survive_fixed_point(gains):
    for gain in (gains.kp, gains.ki, gains.kd):
        assert from_q16(q16(gain)) == pytest.approx(gain, abs=1e-5)


@given(ORDERS, st.integers(0, 2**64), st.integers(0, 2**40))
def test_every_order_fits_the_struct(order, lease, seq):
    packed = words(order, lease, seq, BITS)
    for name, value in packed.items():
        assert 0 <= value < 2 ** (64 if name in ("valid_until_ns", "max_bytes", "drain_Bps") else 32)


def test_flags_are_the_bits_of_the_loaded_object():
    bits = {"SN_ORDER_POLICE": 8, "SN_ORDER_MARK": 16, "SN_ORDER_QUEUE": 32}
    assert words(Order(1, 1, 1, mark=False), 0, 0, bits)["flags"] == 8 | 32


def test_an_order_has_the_fields_of_struct_sn_order_and_keeps_their_values_in_it():
    if not BUILT.exists():
        pytest.skip("bpf/build/agent.bpf.o is not built: run `make -C bpf`")
    from sentinel_bpf.layout import layout  # noqa: PLC0415  only where the object exists

    struct = layout(BUILT, "sn_order")
    packed = words(Order(2**40, 2**33, 5000), 2**50, 7, BITS)
    assert set(packed) == {name for name in struct.names if not name.startswith("_")}
    record = np.zeros((), struct)
    for name, value in packed.items():
        record[name] = value
        assert int(record[name]) == value, f"{name} is narrower in C than in {orders.__name__}"


def test_leaving_packets_are_marked_above_what_the_queue_sends_within_the_target():
    order = Order(50_000, 1_000_000, target_us=20_000)
    assert exit_words(order, 7) == {
        "valid_until_ns": 7, "rate_Bps": 0, "burst_bytes": 0, "mark_above_bytes": 20_000,
    }  # fmt: skip


def test_without_marking_or_a_rate_leaving_packets_are_asked_nothing():
    assert exit_words(Order(50_000, 1_000_000, 20_000, mark=False), 7)["mark_above_bytes"] == 0
    assert exit_words(Order(50_000, 0, 20_000), 7)["mark_above_bytes"] == 0


@given(ORDERS)
def test_every_exit_word_fits_its_field(order):
    assert all(0 <= each < 2**64 for each in exit_words(order, order.max_bytes).values())


@given(ORDERS)
def test_a_mere_lease_asks_nothing_of_a_packet(order):
    told = words(lease_only(order), 7, 1, BITS)
    assert (told["valid_until_ns"], told["flags"], told["drain_Bps"]) == (7, 0, 0)


@given(st.lists(ORDERS, min_size=1, max_size=16), st.integers(-1, 2**70), st.integers(0, 2**40))
def test_many_orders_at_once_are_the_same_as_one_by_one(several, valid_until_ns, seq):
    made = columns(several, valid_until_ns, seq, BITS)
    for i, order in enumerate(several):
        alone = words(order, valid_until_ns, seq, BITS)
        assert {name: each[i] if isinstance(each, list) else each for name, each in made.items()} == alone
