"""Alarms of others are believed under their own name, once, and for some seconds; the rest is counted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.records import Alarm
from sentinel_api.wire import pack_alarm
from sentinel_mesh.alarms import FRESH_NS, ONSET_MAX_MS, ORIGINS_MAX, Alarms
from sentinel_mesh.keys import Keys
from sentinel_mesh.refusal import Refusal

T0 = 10**12
KEYS = Keys("c")
FIRST = Alarm("n1", 3, -200, 1 << 20, 1.0, 1, incarnation=7, seq=1)


@pytest.fixture
def refused():
    return []


@pytest.fixture
def alarms(refused):
    return Alarms("me", refused.append)


def tell(alarms, alarm, now_ns=T0, node="n1"):
    raw = alarm if isinstance(alarm, bytes) else pack_alarm(alarm)
    alarms.told(KEYS.alarm(node), len(raw), lambda: raw, now_ns)


def test_the_newest_of_each_node_and_class_is_there_for_some_seconds(alarms, refused):
    tell(alarms, FIRST)
    tell(alarms, replace(FIRST, seq=2, magnitude_bytes=4096), T0 + 5)
    tell(alarms, replace(FIRST, seq=3, traffic_class=4), T0 + 9)
    found = alarms.fresh(T0 + 9)
    assert [(each.alarm.traffic_class, each.alarm.magnitude_bytes, each.heard_ns) for each in found] == [
        (3, 4096, T0 + 5),
        (4, 1 << 20, T0 + 9),
    ]
    assert [each.alarm.traffic_class for each in alarms.fresh(T0 + 6 + FRESH_NS)] == [4]
    assert not refused


REFUSED = {
    "a replay": ("n1", FIRST, Refusal.REPLAYED),
    "of an older process": ("n1", replace(FIRST, incarnation=6, seq=99), Refusal.REPLAYED),
    "in another's name": ("n1", replace(FIRST, origin="n2", seq=2), Refusal.IMPOSTOR),
    "in our name": ("me", replace(FIRST, origin="me", seq=2), Refusal.IMPOSTOR),
    "under a strange key": ("a b", None, Refusal.STRANGE_KEY),
    "garbage": ("n1", b"\xff" * 40, Refusal.GARBAGE),
    "oversize": ("n1", bytes(1 << 16), Refusal.OVERSIZE),
    "an onset an hour away": ("n1", replace(FIRST, seq=2, onset_in_ms=3_600_000), Refusal.GARBAGE),
    "an onset an hour ago": ("n1", replace(FIRST, seq=2, onset_in_ms=-ONSET_MAX_MS - 1), Refusal.GARBAGE),
}


@pytest.mark.parametrize(("node", "alarm", "refusal"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_believed_is_counted_and_changes_nothing(alarms, refused, node, alarm, refusal):
    tell(alarms, FIRST)
    before = alarms.fresh(T0)
    raw = b"" if alarm is None else alarm if isinstance(alarm, bytes) else pack_alarm(alarm)
    alarms.told(f"sentinel/c/{node}/alarm", len(raw), lambda: raw, T0 + 1)
    assert alarms.fresh(T0) == before
    assert refused == [refusal]


def test_an_unknown_version_is_counted_apart(alarms, refused):
    raw = bytearray(pack_alarm(FIRST))
    raw[2] = 2
    tell(alarms, bytes(raw))
    assert refused == [Refusal.UNKNOWN_VERSION]


def test_a_crowd_of_strangers_fills_no_memory(alarms, refused):
    for number in range(ORIGINS_MAX + 2):
        tell(alarms, replace(FIRST, origin=f"n{number}"), node=f"n{number}")
    assert len(alarms.fresh(T0)) == ORIGINS_MAX
    assert refused == [Refusal.CROWDED] * 2


@given(st.lists(st.tuples(st.text(max_size=40), st.binary(max_size=320)), max_size=20))
def test_whatever_a_stranger_sends_is_counted_or_believed(sent):
    refused = []
    alarms = Alarms("me", refused.append)
    for key, raw in sent:
        alarms.told(key, len(raw), lambda raw=raw: raw, T0)
        alarms.told(KEYS.alarm("n1"), len(raw), lambda raw=raw: raw, T0)
    assert len(refused) + len(alarms.fresh(T0)) == 2 * len(sent)
