"""Each program stays within what its line in bpf/budgets.toml lets the verifier spend, with every stage switched on."""

import tomllib

import pytest

from sentinel_bpf.agent import load_agent
from support.data_plane.agent import OBJECT

BUDGETS = tomllib.loads((OBJECT.parents[1] / "budgets.toml").read_text())["verified_instructions"]
ALL_ON = {"sn_tunnels_on": 1, "sn_probes_on": 1}


@pytest.fixture(scope="module")
def spent(built):
    with load_agent(built / "agent.bpf.o", rodata=ALL_ON, max_entries={"sn_flows": 1024}) as loaded:
        return {name: program.verified_instructions() for name, program in loaded.programs.items()}


def test_every_program_has_a_budget(spent):
    assert spent.keys() == BUDGETS.keys()


@pytest.mark.parametrize("name", list(BUDGETS))
def test_a_program_keeps_its_budget(spent, name):
    assert 0 < spent[name] <= BUDGETS[name]


@pytest.mark.parametrize("name", list(BUDGETS))
def test_a_budget_is_no_more_than_twice_what_is_needed(spent, name):
    """Or it would bound nothing."""
    assert BUDGETS[name] <= 2 * spent[name]
