"""Every BPF object of the build passes the verifier of this kernel, at a cost that is recorded and bounded."""

import tomllib
from pathlib import Path

import pytest

from sentinel_bpf import object as bpf_object

BUILD = Path(__file__).parents[3] / "bpf" / "build"
OBJECTS = sorted(BUILD.glob("*.bpf.o"))
BUDGETS = tomllib.loads((BUILD.parent / "budgets.toml").read_text())
# What is off by default the verifier leaves out; a node of a cluster has all of it on.
ALL_ON = {"agent.bpf.o": {"sn_tunnels_on": 1, "sn_probes_on": 1, "sn_probes_own": 1}}
# An object declares what it needs by its sections, as libbpf itself reads them.
NEEDS = {b"\0.struct_ops": "qdisc_bpf", b"\0tcx/": "tcx"}


def missing(path: Path, promised: frozenset[str]) -> str:
    content = path.read_bytes()
    return ", ".join(sorted({need for section, need in NEEDS.items() if section in content} - promised))


def test_the_build_has_left_objects():
    assert OBJECTS, "build them first: make bpf"


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_the_object_loads(path, promised, record_property):
    lacking = missing(path, promised)
    if lacking:
        pytest.skip(f"{path.name} needs {lacking}, which this kernel does not have")
    with bpf_object.load(path, bpf_object.Options(rodata=ALL_ON.get(path.name, {}))) as loaded:
        assert loaded.programs
        spent = {name: program.verified_instructions() for name, program in loaded.programs.items()}
    for name, instructions in spent.items():
        record_property(f"verified instructions {path.name} {name}", instructions)
    budgets = BUDGETS[path.name.removesuffix(".bpf.o")]
    assert {name: each for name, each in spent.items() if each > budgets[name]} == {}
