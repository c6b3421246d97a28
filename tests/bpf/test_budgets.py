"""Each program has a line in bpf/budgets.toml and keeps to it, with every stage switched on."""

import tomllib
from pathlib import Path

import pytest

from sentinel_bpf import libbpf
from sentinel_bpf import object as bpf_object
from sentinel_bpf.agent import load_agent
from support.data_plane.agent import OBJECT

BUDGETS = tomllib.loads((OBJECT.parents[1] / "budgets.toml").read_text())
ALL_ON = {"sn_tunnels_on": 1, "sn_probes_on": 1, "sn_probes_own": 1}
# The lines of qdisc.bpf.o are held in the VM lane: only kernels with BPF queueing disciplines can load it.
LINES = [(name, program) for name, lines in BUDGETS.items() if name != "qdisc" for program in lines]


def load(built: Path, name: str) -> bpf_object.Object:
    if name == "agent":
        return load_agent(built / "agent.bpf.o", rodata=ALL_ON, max_entries={"sn_flows": 1024})
    return bpf_object.load(built / f"{name}.bpf.o")


def declared(path: Path) -> set[str]:
    """From the file alone: not every kernel loads every object."""
    opened = bpf_object._Opened(path)
    try:
        return set(opened.programs)
    finally:
        libbpf.lib().bpf_object__close(opened.handle)


@pytest.fixture(scope="module")
def spent(built):
    kept: dict[str, dict[str, int]] = {}

    def ask(name: str) -> dict[str, int]:
        if name not in kept:
            with load(built, name) as loaded:
                kept[name] = {each: program.verified_instructions() for each, program in loaded.programs.items()}
        return kept[name]

    return ask


def test_every_program_of_the_build_has_a_line_and_every_line_a_program(built):
    objects = {path.name.removesuffix(".bpf.o"): declared(path) for path in built.glob("*.bpf.o")}
    if "qdisc" not in objects:
        objects["qdisc"] = set(BUDGETS["qdisc"])  # a machine without clang 19 leaves it out, and says so
    assert objects == {name: set(lines) for name, lines in BUDGETS.items()}


@pytest.mark.parametrize(("name", "program"), LINES)
def test_a_program_keeps_its_budget(spent, name, program):
    """And a budget is no more than twice what is needed, or it would bound nothing."""
    needed = spent(name)[program]
    assert 0 < needed <= BUDGETS[name][program] <= max(100, 2 * needed)
