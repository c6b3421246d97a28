"""From file to running programs: what is checked, kept and taken over."""

import gc
import os
import shutil
from pathlib import Path

import pytest

from sentinel_api.errors import Invalid, Unsupported
from sentinel_bpf import attach, layout, pinned, pins
from sentinel_bpf import object as bpf_object
from sentinel_bpf.maps import cpus
from sentinel_bpf.object import LoadRefused, Options

FRAME = bytes(64)
PAGE = os.sysconf("SC_PAGESIZE")


def test_a_refused_program_keeps_the_verifiers_words(load):
    with pytest.raises(LoadRefused, match=r"refuses refused\.bpf\.o: R1 offset is outside of the packet") as refused:
        load("test/refused")
    assert isinstance(refused.value, Unsupported)
    assert "invalid access to packet" in refused.value.log
    assert refused.value.log in refused.value.__notes__


def test_a_stale_object_is_an_error_and_no_wrong_number(load):
    with pytest.raises(Invalid, match=r"stale\.bpf\.o has ABI version \d+, but 1 is needed; rebuild it"):
        load("test/stale")


def test_an_object_that_was_never_built_says_how(load):
    with pytest.raises(Invalid, match=r"nix\.bpf\.o is not built; run `make -C bpf`"):
        load("nix")


def test_a_file_that_is_no_object_says_so(tmp_path):
    broken = tmp_path / "agent.bpf.o"
    broken.write_bytes(b"\x7fELF, but not really")
    with pytest.raises(Invalid, match=r"agent\.bpf\.o is no BPF object that links"):
        bpf_object.load(broken)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"rodata": {"nix": 1}}, "no constant nix; it has .*verdict", id="an unknown constant"),
        pytest.param({"max_entries": {"nix": 1}}, "no map nix", id="an unknown map"),
        pytest.param({"programs": frozenset({"nix"})}, "no program nix", id="an unknown program"),
        pytest.param({"max_entries": {"table": 0}}, "table.*choose another size", id="a map of no entries"),
    ],
)
def test_a_wrong_choice_is_refused_in_a_sentence(load, options, sentence):
    with pytest.raises(Invalid, match=sentence):
        load("test/bank", **options)


def test_constants_of_every_width_reach_the_program(load):
    bank = load("test/bank", rodata={"step": 1 << 40, "verdict": 1, "answers": (9, 8, 7, 6)})
    assert bank.run("count", FRAME)[0] == 1
    assert bank.summed("cells", 5)["packets"] == 1 << 40


def test_map_sizes_are_chosen_at_load(load):
    assert load("test/bank", max_entries={"table": 5000}).object.map("table").shape.max_entries == 5000


def test_only_the_programs_asked_for_are_loaded(load):
    bank = load("test/bank", programs=frozenset({"meta"}))
    assert set(bank.object.programs) == {"meta"}
    with pytest.raises(Invalid, match="loaded no program count"):
        bank.object.program("count")


def test_the_verifiers_work_is_known(bank):
    assert 10 < bank.object.program("count").verified_instructions() < 1000


def test_pinned_maps_outlive_their_object_and_are_taken_over(load, bpffs):
    where = pins.folder(bpffs, "bank", bpf_object.ABI_VERSION)
    first = load("test/bank", pins=where)
    first.put("table", (1, 2), packets=3)
    first.run("count", FRAME)
    first.object.close()
    second = load("test/bank", pins=where)
    assert second.get("table", (1, 2))["packets"] == 3
    second.run("count", FRAME)
    assert second.summed("cells", 5)["packets"] == 2


def test_another_process_reads_pinned_maps_without_loading(load, built, bpffs):
    bench = load("test/bank", pins=bpffs / "v1")
    bench.put("table", (1, 2), packets=3)
    bench.run("count", FRAME)
    with pinned.maps(built / "test" / "bank.bpf.o", bpffs / "v1") as found:
        assert found["table"].get((1, 2))["packets"] == 3
        cells = found["cells"].view()
        (bpffs / "v1" / "words").unlink()
    bench.run("count", FRAME)
    assert cells["packets"].sum() == 2
    with pinned.maps(built / "test" / "bank.bpf.o", bpffs / "v1") as found:
        assert "words" not in found


def test_a_map_taken_over_keeps_the_types_of_the_object_that_uses_it(load):
    """libbpf answers for such a map with type numbers of the object that made it."""
    first = load("test/bank")
    first.put("percpu", 1, packets=5)
    second = load("test/other", shared={"percpu": first.object.map("percpu")})
    assert second.object.map("percpu").total(1)["frames"] == 5 * cpus()


def test_a_pinned_map_of_another_shape_is_refused_with_both_shapes(load, bpffs):
    load("test/bank", pins=bpffs / "v1")
    with pytest.raises(Invalid, match=r"table is of .*1024 entries.*needs .*2048 entries"):
        load("test/other", pins=bpffs / "v1")


def test_a_pinned_map_of_another_shape_is_replaced_when_that_was_asked_for(load, bpffs):
    load("test/bank", pins=bpffs / "v1").put("table", (1, 1), packets=1)
    load("test/other", pins=bpffs / "v1", replace_pins=True).object.close()
    again = load("test/other", pins=bpffs / "v1")
    assert again.object.map("table").shape.max_entries == 2048
    assert len(again.object.map("table").dump()[0]) == 0


def test_a_map_that_follows_another_begins_anew_where_that_one_does(load, bpffs):
    """Also by name before it: `cells` stands in front of `table`."""
    follows = {"cells": "table"}
    load("test/bank", pins=bpffs / "v1").run("count", FRAME)
    same = load("test/bank", pins=bpffs / "v1", replace_pins=True, follows=follows)
    assert same.view("cells")["packets"].sum() == 1
    larger = load("test/bank", pins=bpffs / "v1", replace_pins=True, follows=follows, max_entries={"table": 2048})
    assert larger.view("cells")["packets"].sum() == 0


def test_a_failed_load_leaves_the_pins_as_they_were(load, bpffs):
    load("test/bank", pins=bpffs / "v1").put("table", (1, 1), packets=1)
    with pytest.raises(Invalid, match="choose another size"):
        load("test/bank", pins=bpffs / "v1", replace_pins=True, max_entries={"table": 2048, "percpu": 0})
    assert load("test/bank", pins=bpffs / "v1").get("table", (1, 1))["packets"] == 1


def test_pinning_outside_a_bpffs_says_what_to_mount(load, tmp_path):
    with pytest.raises(Unsupported, match="mount a bpffs"):
        load("test/bank", pins=tmp_path / "plain")


def test_two_objects_can_share_a_map(load):
    first = load("test/bank")
    second = load("test/bank", shared={"cells": first.object.map("cells")})
    second.run("count", FRAME)
    assert first.summed("cells", 5)["packets"] == 1


def test_a_map_to_share_must_have_the_shape(load):
    other = load("test/other").object.map("table")
    with pytest.raises(Invalid, match="The map given for table is of"):
        load("test/bank", shared={"table": other})


def test_a_file_is_read_once_for_each_of_its_states(built, tmp_path):
    path = tmp_path / "bank.bpf.o"
    shutil.copy(built / "test" / "bank.bpf.o", path)
    first = layout.types(path)
    assert layout.types(path) is first
    shutil.copy(built / "test" / "other.bpf.o", path)
    assert layout.types(path) is not first


def test_many_loads_leave_nothing_behind(built, bpffs, veth):
    def cycle(times: int) -> tuple[int, int]:
        for _ in range(times):
            with bpf_object.load(built / "test" / "bank.bpf.o", Options(pins=bpffs / "maps")) as loaded:
                loaded.map("cells").view()
                attach.attach(loaded.program("tag"), veth[0], attach.Hook.TCX_EGRESS, bpffs / "link")
            with pytest.raises(LoadRefused):
                bpf_object.load(built / "test" / "refused.bpf.o")
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), int(Path("/proc/self/statm").read_text().split()[1]) * PAGE

    descriptors, resident = cycle(20)
    descriptors_after, resident_after = cycle(80)
    assert descriptors_after == descriptors
    assert resident_after - resident < 2 << 20, "25 KiB a load"


def test_the_agents_object_sizes_its_counters_for_every_cpu(agent):
    cells = agent.object.map("sn_cells").shape.max_entries
    assert cells == os.sysconf("SC_NPROCESSORS_CONF") * 16
