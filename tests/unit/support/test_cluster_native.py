"""The native provider's addresses, rules and refusals, as values."""

import json

import pytest

from support.cluster import native, slots
from support.cluster.__main__ import specs
from support.cluster.errors import ClusterError, Unavailable
from support.cluster.native import cut_table
from support.cluster.slots import Slot


def test_no_two_clusters_share_an_address() -> None:
    networks = [one for slot in map(Slot, slots.NUMBERS) for one in (slot.network, slot.pods, slot.services)]
    for index, network in enumerate(networks):
        assert not any(network.overlaps(other) for other in networks[index + 1 :])


def test_a_nodes_pods_lie_within_the_clusters() -> None:
    slot = Slot(3)
    assert slot.node_address(1) == "10.89.3.2"
    assert slot.node_pods(1) == "10.103.1.0/24"


def test_names_of_links_fit_the_kernel() -> None:
    assert all(len(Slot(number).link) <= 15 for number in slots.NUMBERS)


def test_no_cut_leaves_an_empty_chain() -> None:
    assert "drop" not in cut_table(set())


def test_a_node_cut_off_loses_both_directions() -> None:
    assert "iifname port1 drop\noifname port1 drop" in cut_table({("port1", "port1")})


def test_a_cut_pair_loses_only_each_other() -> None:
    rules = [line for line in cut_table({("port1", "port2")}).splitlines() if line.endswith("drop")]
    assert rules == ["iifname port1 oifname port2 drop", "iifname port2 oifname port1 drop"]


def test_who_is_not_root_is_told_so(monkeypatch) -> None:
    monkeypatch.setattr(native, "_is_root", lambda: False)
    with pytest.raises(Unavailable, match="native clusters need root: run the tests with sudo"):
        native.check()


def test_a_missing_program_is_named_with_its_package(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(native, "_is_root", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="containerd is missing: install the package containerd"):
        native.check()


@pytest.fixture
def own_run(monkeypatch, tmp_path):
    monkeypatch.setattr(slots, "RUN", tmp_path / "run")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(slots, "_routes", list)


def test_slots_are_taken_in_turn_and_given_back(own_run) -> None:
    first, second = slots.take(), slots.take(detached=True)
    assert (first.number, second.number) == (0, 1)
    assert slots.detached() == [second]
    slots.release(first)
    assert slots.take() == first


def test_what_a_dead_owner_left_is_removed(own_run) -> None:
    slot = slots.take()
    (slot.folder / "leftover").write_text("from a crash")
    dead = {"pid": 1, "started_ticks": -1, "detached": False, "boot": slots._boot()}
    slot.claim.write_text(json.dumps(dead))
    assert slots.take() == slot
    assert not (slot.folder / "leftover").exists()


def test_a_claim_cut_off_in_the_writing_counts_as_dead(own_run) -> None:
    slot = slots.take()
    slot.claim.write_text("{")
    assert slots.take() == slot


def test_a_slot_from_before_a_reboot_counts_as_dead(own_run) -> None:
    slot = slots.take(detached=True)
    slot.claim.write_text(slot.claim.read_text().replace(slots._boot(), "another boot"))
    assert slots.take() == slot


def test_a_network_that_the_machine_routes_is_passed_over(own_run, monkeypatch) -> None:
    monkeypatch.setattr(slots, "_routes", lambda: [Slot(0).network])
    assert slots.take() == Slot(1)


def test_a_machine_that_routes_them_all_is_told_what_to_do(own_run, monkeypatch) -> None:
    monkeypatch.setattr(slots, "_routes", lambda: [Slot(number).network for number in slots.NUMBERS])
    with pytest.raises(Unavailable, match="clashes with a route of this machine: remove that route"):
        slots.take()


def test_nine_clusters_are_too_many(own_run) -> None:
    for _ in slots.NUMBERS:
        slots.take()
    with pytest.raises(Unavailable, match="All 8 native clusters are up: end one"):
        slots.take()


def test_labels_of_the_command_line_reach_their_nodes() -> None:
    one, two = specs(2, ["node1:sentinel.io/role=edge", "node1:zone=a"])
    assert (dict(one.labels), dict(two.labels)) == ({"sentinel.io/role": "edge", "zone": "a"}, {})
    for wrong in ("node3:a=b", "node1", "node1:a", "a=b"):
        with pytest.raises(ClusterError, match="write NODE:KEY=VALUE"):
            specs(2, [wrong])
