"""Slots of tier A's discipline: whoever asks at the same time as others gets one of their own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sentinel_bpf import layout
from sentinel_bpf.buffer import discipline

SLOTS = 4


class Table:
    """A map in memory, as slow to answer as a kernel that another thread is asking too."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, ...] | int, object] = {}
        self.asked = threading.Event()

    def get(self, key):
        return self.entries.get(_key(key))

    def put(self, key, *value, **fields):
        self.entries[_key(key)] = value[0] if value else {"taken": 0} | fields

    def delete(self, key):
        self.entries.pop(_key(key), None)

    def dump(self):
        found = dict(self.entries)
        self.asked.wait(0.02)  # never set: lets the others run
        return list(found), np.array(list(found.values()), np.uint32)


def _key(key):
    return tuple(sorted(key.items())) if isinstance(key, dict) else key


@pytest.fixture
def kept(monkeypatch, tmp_path):
    monkeypatch.setattr(layout, "constants", lambda *_: {"SN_QDISC_SLOTS": SLOTS})
    maps = {name: Table() for name in ("sn_slots", "sn_banks", discipline.OPERATIONS)}
    for each in maps.values():
        each.descriptor = -1
    monkeypatch.setattr(discipline, "_close", lambda _: None)
    return discipline.Discipline(tmp_path, tmp_path, maps)


def test_queues_that_are_made_at_the_same_time_get_different_slots(kept):
    with ThreadPoolExecutor(SLOTS) as pool:
        found = list(pool.map(lambda index: kept.slot({"ifindex": index}), range(SLOTS)))
    assert sorted(found) == list(range(SLOTS))


def test_the_same_spot_has_the_same_slot_whoever_asks(kept):
    with ThreadPoolExecutor(SLOTS) as pool:
        found = set(pool.map(lambda _: kept.slot({"ifindex": 7}), range(2 * SLOTS)))
    assert len(found) == 1
