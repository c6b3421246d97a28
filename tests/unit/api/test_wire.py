"""The mesh records: what is sent arrives within its bounds, and nothing a stranger sends does harm."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sentinel_api import wire
from sentinel_api.amounts import AMOUNT_MAX, amounts, floor_codes, near_codes
from sentinel_api.errors import Invalid
from sentinel_api.records import Alarm, Beat, ClassState, Demand, Digest, Flag, NodeState, Role, Share, Tier

DATA = Path(__file__).parents[2] / "data" / "wire"
U32 = st.integers(0, 2**32 - 1)
AMOUNT = st.integers(0, AMOUNT_MAX)
PER_HORIZON = st.tuples(*[AMOUNT] * 4)
PER_CLASS = st.tuples(*[AMOUNT] * 16)
SHARE_OF_ONE = st.floats(0, 1)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,60}", fullmatch=True)

STATES = st.builds(
    NodeState,
    incarnation=U32,
    seq=U32,
    tier=st.sampled_from(Tier),
    role=st.sampled_from(Role),
    flags=st.integers(0, 31).map(Flag),
    load=st.floats(0, 65),
    demand=st.builds(Demand, AMOUNT, PER_HORIZON, PER_HORIZON),
    classes=st.tuples(*[st.builds(ClassState, AMOUNT, SHARE_OF_ONE, st.floats(0, 10), AMOUNT, AMOUNT)] * 16),
)
ALARMS = st.builds(
    Alarm,
    origin=NAMES,
    traffic_class=st.integers(0, 15),
    onset_in_ms=st.integers(-(2**31), 2**31 - 1),
    magnitude_bytes=AMOUNT,
    confidence=SHARE_OF_ONE,
    hop_limit=st.integers(0, 255),
    incarnation=U32,
    seq=U32,
)
DIGESTS = st.builds(
    Digest,
    incarnation=U32,
    seq=U32,
    nodes=st.integers(0, 65535),
    fresh_nodes=st.integers(0, 65535),
    demand_now=AMOUNT,
    demand_p50=PER_HORIZON,
    spread=PER_HORIZON,
    spread_norm=PER_HORIZON,
    headroom_bytes=PER_CLASS,
)
BEATS = st.builds(Beat, incarnation=U32, seq=U32, period_ms=st.integers(1, 65535))
SHARES = st.builds(Share, incarnation=U32, seq=U32, intended=st.dictionaries(NAMES, PER_CLASS, max_size=5))
READERS = {
    "state": (wire.pack_state, wire.unpack_state),
    "alarm": (wire.pack_alarm, wire.unpack_alarm),
    "digest": (wire.pack_digest, wire.unpack_digest),
    "share": (wire.pack_share, wire.unpack_share),
    "beat": (wire.pack_beat, wire.unpack_beat),
}
RECORDS = {"state": STATES, "alarm": ALARMS, "digest": DIGESTS, "share": SHARES, "beat": BEATS}

# Written with amounts, probabilities and times that quantisation keeps, so that equality can be asked for.
STORED = {
    "state-v1": NodeState(
        incarnation=1_700_000_000,
        seq=42,
        tier=Tier.B,
        role=Role.BUFFER,
        flags=Flag.DRAINING | Flag.FALLBACK_FORECAST,
        load=0.731,
        demand=Demand(now=1_000_448, p50=(1000, 2000, 3000, 4000), p95=(4095, 8190, 16380, 32760)),
        classes=tuple(ClassState(4096 * c, c / 255, c / 20, 100 * c, 200 * c) for c in range(16)),
    ),
    "alarm-v1": Alarm("node-7.example", 3, -1500, 1 << 20, 204 / 255, 2, 7, 9),
    "digest-v1": Digest(5, 6, 250, 249, 1 << 30, (1, 2, 3, 4), (5, 6, 7, 8), (2, 3, 4, 5), tuple(range(16))),
    "share-v1": Share(1, 2, {"node-a": tuple(range(16)), "node-b": (1 << 20,) * 16}),
    "beat-v1": Beat(1_700_000_000, 4711, 20),
}


@pytest.mark.parametrize("name", STORED)
def test_records_stored_by_version_1_are_still_read_and_still_written_alike(name):
    pack, unpack = READERS[name.split("-")[0]]
    raw = bytes.fromhex((DATA / f"{name}.hex").read_text())
    assert unpack(raw) == STORED[name]
    assert pack(STORED[name]) == raw


@pytest.mark.parametrize("kind", READERS)
def test_a_record_of_another_version_is_told_apart_so_that_it_can_be_counted(kind):
    raw = bytes.fromhex((DATA / f"{kind}-v2.hex").read_text())
    assert READERS[kind][1](raw) == wire.UnknownVersion(kind, 2)


@pytest.mark.parametrize("name", STORED)
def test_fields_that_a_newer_writer_appends_are_ignored(name):
    pack, unpack = READERS[name.split("-")[0]]
    assert unpack(pack(STORED[name]) + b"new field") == STORED[name]


@given(STATES)
def test_a_state_arrives_within_its_bounds_and_fits_300_bytes(state):
    raw = wire.pack_state(state)
    assert len(raw) <= 300
    back = wire.unpack_state(raw)
    assert (back.incarnation, back.seq, back.tier, back.role, back.flags) == (
        state.incarnation,
        state.seq,
        state.tier,
        state.role,
        state.flags,
    )
    assert abs(back.load - state.load) <= 1 / 2000 + 1e-9
    for sent, got in zip(state.classes, back.classes, strict=True):
        assert sent.headroom_bytes * (1 - 1 / 2048) <= got.headroom_bytes <= sent.headroom_bytes
        assert abs(got.burst_probability - sent.burst_probability) <= 1 / 510 + 1e-9
        assert abs(got.burst_in_s - sent.burst_in_s) <= 0.025 + 1e-9
        assert abs(got.burst_p90_bytes - sent.burst_p90_bytes) <= sent.burst_p90_bytes / 4096
    for sent, got in zip(state.demand.p95, back.demand.p95, strict=True):
        assert abs(got - sent) <= sent / 4096
    assert wire.pack_state(back) == raw


@pytest.mark.parametrize("kind", ["alarm", "beat", "digest", "share"])
def test_what_was_read_is_written_back_bit_by_bit(kind):
    pack, unpack = READERS[kind]

    @given(RECORDS[kind])
    def check(record):
        raw = pack(record)
        assert pack(unpack(raw)) == raw

    check()


@given(st.integers(-(2**80), 2**80))
@example(0)
@example(4096)
@example(AMOUNT_MAX + 1)
def test_amounts_are_clamped_and_a_promise_is_never_above_the_truth(amount):
    truth = min(max(amount, 0), AMOUNT_MAX)
    (floor,), (near,) = amounts(floor_codes([amount])), amounts(near_codes([amount]))
    assert truth * (1 - 1 / 2048) <= floor <= truth
    assert abs(near - truth) <= truth / 4096
    if truth <= 4096:
        assert floor == near == truth


@pytest.mark.parametrize("kind", READERS)
@given(garbage=st.binary(max_size=400))
def test_garbage_raises_invalid_and_nothing_else(kind, garbage):
    with pytest.raises(Invalid):
        READERS[kind][1](garbage)


@pytest.mark.parametrize("kind", READERS)
@given(tail=st.binary(max_size=400))
def test_garbage_behind_a_good_prefix_raises_invalid_at_worst(kind, tail):
    unpack = READERS[kind][1]
    prefix = bytes.fromhex((DATA / f"{kind}-v1.hex").read_text())[:4]
    try:
        unpack(prefix + tail)
    except Invalid:
        return


@pytest.mark.parametrize("name", STORED)
@given(data=st.data())
def test_flipped_bits_raise_invalid_at_worst(name, data):
    pack, unpack = READERS[name.split("-")[0]]
    raw = bytearray(pack(STORED[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        unpack(bytes(raw))
    except Invalid:
        return


@pytest.mark.parametrize("name", STORED)
def test_every_truncation_raises_invalid(name):
    pack, unpack = READERS[name.split("-")[0]]
    raw = pack(STORED[name])
    for length in range(len(raw)):
        with pytest.raises(Invalid):
            unpack(raw[:length])


@pytest.mark.parametrize("name", STORED)
def test_oversize_is_refused_before_it_is_read(name):
    pack, unpack = READERS[name.split("-")[0]]
    with pytest.raises(Invalid, match="at most"):
        unpack(pack(STORED[name]) + bytes(65_536))


def test_a_record_of_one_kind_is_not_taken_for_another():
    with pytest.raises(Invalid, match="begin"):
        wire.unpack_alarm(wire.pack_state(STORED["state-v1"]))


def test_a_role_that_version_1_does_not_know_is_invalid():
    raw = bytearray(wire.pack_state(STORED["state-v1"]))
    raw[13] = 9
    with pytest.raises(Invalid, match="9 is no role"):
        wire.unpack_state(bytes(raw))


@pytest.mark.parametrize("name", ["", "a/b", "node\nfake log line", "n" * 254, "ü"])
def test_names_that_could_break_a_key_or_a_log_line_are_refused(name):
    with pytest.raises(Invalid):
        wire.pack_alarm(replace(STORED["alarm-v1"], origin=name))


@pytest.mark.parametrize(
    ("pack", "record"),
    [
        pytest.param(wire.pack_state, replace(STORED["state-v1"], classes=()), id="a state without classes"),
        pytest.param(wire.pack_state, replace(STORED["state-v1"], demand=Demand(p50=(1,))), id="one horizon"),
        pytest.param(wire.pack_state, replace(STORED["state-v1"], seq=2**32), id="seq beyond 32 bits"),
        pytest.param(wire.pack_alarm, replace(STORED["alarm-v1"], traffic_class=16), id="class 16"),
        pytest.param(wire.pack_digest, replace(STORED["digest-v1"], nodes=70_000), id="70000 nodes"),
        pytest.param(wire.pack_digest, replace(STORED["digest-v1"], headroom_bytes=()), id="no headroom"),
        pytest.param(wire.pack_share, Share(1, 2, {"a": (1, 2)}), id="two classes"),
        pytest.param(wire.pack_beat, Beat(1, 2, 1 << 16), id="a beat a minute"),
        pytest.param(wire.pack_share, Share(1, 2, {f"n{i}": (0,) * 16 for i in range(2000)}), id="too many nodes"),
    ],
)
def test_a_record_that_cannot_be_sent_is_refused_with_a_sentence(pack, record):
    with pytest.raises(Invalid, match=" "):
        pack(record)


def test_a_beat_that_promises_no_next_one_is_invalid():
    with pytest.raises(Invalid, match="no next"):
        wire.unpack_beat(wire.pack_beat(Beat(1, 2, 0)))


def test_a_share_never_names_a_node_twice():
    raw = wire.pack_share(Share(1, 2, {"a": (0,) * 16, "b": (0,) * 16}))
    with pytest.raises(Invalid, match="repeated"):
        wire.unpack_share(raw.replace(b"\x01b", b"\x01a"))


@given(STATES, STATES)
def test_a_replayed_or_overtaken_state_is_not_newer(one, other):
    assert not one.newer_than(one)
    assert not (one.newer_than(other) and other.newer_than(one))


def test_a_restarted_node_is_newer_though_its_seq_begins_again():
    before = STORED["state-v1"]
    assert replace(before, incarnation=before.incarnation + 1, seq=0).newer_than(before)


def test_an_alarm_ages_while_it_is_held_and_stops_at_its_hop_limit():
    alarm = replace(STORED["alarm-v1"], hop_limit=1, onset_in_ms=500)
    passed_on = alarm.forwarded(held_ms=120)
    assert (passed_on.hop_limit, passed_on.onset_in_ms) == (0, 380)
    assert passed_on.forwarded(held_ms=1) is None


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -1.0])
def test_an_odd_number_is_clamped_and_the_rest_of_the_record_still_heard(odd):
    back = wire.unpack_state(wire.pack_state(replace(STORED["state-v1"], load=odd)))
    assert back.load == (65.535 if odd > 0 else 0)
    assert back.seq == 42
