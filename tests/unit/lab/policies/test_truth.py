"""No rule can reach the schedule: what is not handed to it decides nothing."""

import gc
import subprocess
import sys
import types

import pytest

from sentinel_lab import seasoning
from sentinel_lab.policies import NAMES, NEEDS_TRUTH, Seen, Truth, made
from sentinel_lab.scenario import SINGLE

SECRET_S = 4.25


def truth(first_s: float) -> Truth:
    """A past that earns every predictor its trust, and a first burst of the run that may be moved."""
    told = seasoning.truth(SINGLE, lives(120.0), 0)
    moved = tuple(
        each.model_copy(update={"start_s": first_s}) if each.start_s == 4.0 else each for each in told.bursts[1]
    )
    return Truth(start_ns=0, bursts={1: moved})


def lives(past_s: float) -> list[seasoning.Life]:
    return [seasoning.life(each, "periodic", 20.0, 0, past_s) for each in SINGLE.classes]


def reachable(root: object) -> list[object]:
    """Everything an object leads to, but for code and what all modules share."""
    found, open_ = {id(root): root}, [root]
    while open_:
        for each in gc.get_referents(open_.pop()):
            if id(each) not in found and not isinstance(each, types.ModuleType | type | types.FunctionType):
                found[id(each)] = each
                open_.append(each)
    return list(found.values())


def answers(name: str, told: Truth) -> list[dict[int, int]]:
    policy = made(name, SINGLE, told)
    if hasattr(policy, "season"):
        policy.season(seasoning.samples(SINGLE, lives(120.0 if name in NEEDS_TRUTH else 10.0), 0))
    steps = (Seen(step * 100_000_000, 0.1, 0, 65_536, 100_000, 100_000, 0, 100) for step in range(1, 60))
    return [dict(policy.limits({1: seen, 2: seen})) for seen in steps]


@pytest.mark.parametrize("name", NAMES)
def test_only_those_told_the_future_lead_to_it(name):
    secret = truth(SECRET_S)
    held = any(each is secret for each in reachable(made(name, SINGLE, secret)))
    assert held == (name in NEEDS_TRUTH)


@pytest.mark.parametrize("name", [*sorted(set(NAMES) - NEEDS_TRUTH), "oracle"])
def test_another_future_changes_the_answers_of_those_who_are_told_and_of_nobody_else(name):
    same = answers(name, truth(4.0)) == answers(name, truth(2.0))
    assert same == (name not in NEEDS_TRUTH)


def test_the_rules_do_not_even_import_the_schedules():
    """In a fresh process, so that what other tests imported does not count."""
    asked = "import sys, sentinel_lab.policies; print([m for m in sys.modules if 'lab.traffic' in m or 'season' in m])"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
