"""A wrong name is answered with the right ones."""

import pytest
from vmlane import catalogue, command, lane

KNOWN = catalogue.kernels(lane.CATALOGUE)


def test_all_kernels_of_the_list_are_there():
    assert {"6.1", "6.12", "6.18"} <= set(KNOWN)
    assert "qdisc_bpf" in KNOWN["6.18"].features


def test_all_means_every_kernel_in_order():
    assert [kernel.name for kernel in catalogue.chosen_kernels(KNOWN, "all")] == list(KNOWN)


def test_an_unknown_kernel_is_answered_with_the_known_ones(capfdbinary):
    assert command.main(["--kernel", "2.4"]) == 2
    said = capfdbinary.readouterr().out.decode()
    assert said.count("\n") == 1
    assert "6.1, 6.12, 6.18 or all" in said


def test_an_unknown_test_is_answered_with_the_known_ones(capfdbinary):
    assert command.main(["nonsense"]) == 2
    assert "test_objects_load.py" in capfdbinary.readouterr().out.decode()


def test_the_list_names_kernels_and_tests(capfdbinary):
    assert command.main(["--list"]) == 0
    said = capfdbinary.readouterr().out.decode()
    assert "trixie-backports" in said
    assert "test_guest.py" in said


@pytest.mark.parametrize("name", ["tests/vm/inside/test_guest.py", "test_guest.py", "test_guest", "guest"])
def test_a_test_is_found_by_any_of_its_names(name):
    assert catalogue.chosen_tests(lane.INSIDE, [name]) == (str(lane.INSIDE / "test_guest.py"),)


def test_a_node_keeps_its_part_behind_the_file():
    assert catalogue.chosen_tests(lane.INSIDE, ["guest::test_x[a::b]"])[0].endswith("/test_guest.py::test_x[a::b]")


def test_a_broken_list_is_one_sentence(tmp_path):
    broken = tmp_path / "kernels.toml"
    broken.write_text("[kernel.x]\nsuite = 'y'\n")
    with pytest.raises(catalogue.LaneError, match="restore it from git"):
        catalogue.kernels(broken)
