"""When a run begins between two looks of the policy under test."""

from sentinel_core.sample import PERIOD_NS
from sentinel_lab.experiment import Plan
from sentinel_lab.scenario import SINGLE


def phase(policy, seed):
    return Plan(SINGLE, "periodic", policy, 20.0, seed).phase_ns / PERIOD_NS


def test_all_policies_of_a_round_meet_the_same_phase():
    assert len({phase(policy, 1) for policy in ("reactive-100ms", "predictive", "oracle")}) == 1


def test_rounds_are_spread_over_the_period():
    for rounds in (3, 5, 8):
        found = sorted(phase("oracle", seed) for seed in range(rounds))
        gaps = [after - before for before, after in zip(found, [*found[1:], found[0] + 1], strict=True)]
        assert max(gaps) < 2 / rounds
