"""Maps as typed tables, and arrays that are read where the kernel writes them."""

import gc

import numpy as np
import pytest

from sentinel_api.errors import Invalid
from sentinel_bpf import maps

FRAME = bytes(64)


def test_a_missing_entry_is_none_and_no_error(bank):
    assert bank.get("table", (1, 1)) is None


def test_what_is_put_is_got_and_what_is_deleted_is_gone(bank):
    table = bank.object.map("table")
    table.put((0x0A000001, 80), packets=4, last=2)
    found = table.get({"address": 0x0A000001, "port": 80})
    assert (found["packets"], found["last"]) == (4, 2)
    assert table.delete((0x0A000001, 80))
    assert not table.delete((0x0A000001, 80))


def test_fields_in_network_order_lie_in_memory_as_on_the_wire(bank):
    key = maps.record(bank.object.map("table").key, (0x0A000001, 80))
    assert key.tobytes() == bytes([10, 0, 0, 1, 0, 80, 0, 0])


def test_a_dump_finds_every_entry_once(bank):
    table = bank.object.map("table")
    for number in range(1000):
        table.put((number, 7), packets=number)
    keys, values = table.dump()
    assert sorted(keys["address"].tolist()) == list(range(1000))
    assert (keys["address"] == values["packets"]).all()


def test_a_dump_of_more_than_one_batch_is_whole(load, monkeypatch):
    monkeypatch.setattr(maps, "_BATCH", 8)
    table = load("test/bank").object.map("table")
    for number in range(1000):
        table.put((number, 7), packets=number)
    assert sorted(table.dump()[1]["packets"].tolist()) == list(range(1000))


def test_an_empty_table_dumps_nothing(bank):
    keys, values = bank.object.map("table").dump()
    assert len(keys) == len(values) == 0


def test_one_by_one_and_in_batches_say_the_same(bank):
    table = bank.object.map("percpu_words")
    for number in range(40):
        table.put(number, number * 3)
    batched, walked = table.dump(), table._one_by_one()
    for key, value in zip(*walked, strict=True):
        assert (batched[1][batched[0] == key] == value).all()
    assert len(batched[0]) == len(walked[0]) == 40


def test_many_are_put_at_once(bank):
    table = bank.object.map("table")
    keys = np.zeros(500, table.key)
    values = np.zeros(500, table.value)
    keys["address"], values["packets"] = np.arange(500), np.arange(500) * 2
    table.put_many(keys, values)
    assert table.get((499, 0))["packets"] == 998
    with pytest.raises(Invalid, match="one value for each key"):
        table.put_many(keys, values[:3])


def test_a_full_table_says_so(bank):
    table = bank.object.map("table")
    for number in range(1024):
        table.put((number, 1), packets=1)
    with pytest.raises(Invalid, match=r"table is full \(1024 entries\)"):
        table.put((1024, 1), packets=1)


def test_per_cpu_values_come_one_a_cpu_and_as_their_sum(bank):
    bank.run("count", FRAME, repeat=5)
    values = bank.get("percpu", 0)
    assert values.shape == (maps.cpus(),)
    assert values["packets"].sum() == bank.object.map("percpu").total(0)["packets"] == 5


def test_a_four_byte_per_cpu_value_is_not_mistaken_for_an_eight_byte_one(bank):
    bank.put("percpu_words", 3, 7)
    assert bank.get("percpu_words", 3).tolist() == [7] * maps.cpus()
    assert bank.object.map("percpu_words").total(3) == 7 * maps.cpus()


def test_a_view_sees_what_the_kernel_writes_later(bank):
    cells = bank.view("cells")
    before = cells["packets"].sum()
    bank.run("count", FRAME, repeat=3)
    assert (before, cells["packets"].sum()) == (0, 3)


def test_the_kernel_sees_what_is_written_into_a_view(bank):
    bank.view("words", writable=True)[0] = 41
    assert bank.get("words", 0) == 41


def test_a_view_is_read_only_unless_asked_for(bank):
    with pytest.raises(ValueError, match="read-only"):
        bank.view("words")[0] = 1


def test_elements_smaller_than_eight_bytes_are_found_at_their_distance(bank):
    for index in range(3):
        bank.put("words", index, index + 10)
    assert bank.view("words").tolist() == [10, 11, 12]


def test_a_view_outlives_its_object(load):
    bank = load("test/bank")
    bank.run("count", FRAME)
    cells = bank.view("cells")
    bank.object.close()
    gc.collect()
    assert cells["packets"].sum() == 1


def test_a_snapshot_is_equal_and_stands_still(bank):
    cells = bank.view("cells")
    bank.run("count", FRAME)
    taken = maps.snapshot(cells)
    bank.run("count", FRAME)
    assert (taken["packets"].sum(), cells["packets"].sum()) == (1, 2)
    assert taken.dtype == cells.dtype
    assert maps.snapshot(bank.view("words")).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["table", "percpu"])
def test_only_mmapable_arrays_can_be_viewed(bank, name):
    with pytest.raises(Invalid, match="declare it as an ARRAY with BPF_F_MMAPABLE"):
        bank.view(name)


def test_a_map_that_is_not_there_is_named_with_those_that_are(bank):
    with pytest.raises(Invalid, match=r"has no map nix; it has .*cells.*table"):
        bank.object.map("nix")
