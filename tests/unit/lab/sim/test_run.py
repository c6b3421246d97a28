"""Runs are repeatable, independent of their neighbours, obey their latency, and their rules see only the past."""

import gc
from dataclasses import dataclass, field, replace
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import numpy as np
import pytest

from sentinel_api.errors import Invalid
from sentinel_lab.policies import NAMES, NEEDS_TRUTH, Burst, Truth, made
from sentinel_lab.scenario import SINGLE
from sentinel_lab.sim.queue import Queues
from sentinel_lab.sim.run import Lane, simulate
from sentinel_lab.sim.traffic import Traffic, of_pattern

STEP_S = 0.002


@dataclass
class Noting:
    """Answers as it is told, and keeps what it was shown."""

    answer: dict[int, int]
    name: str = "noting"
    period_s: float = 0.1
    shown: list = field(default_factory=list)

    def limits(self, seen):
        self.shown.append(dict(seen))
        return self.answer


def truth(traffic: Traffic) -> Truth:
    bursts = tuple(Burst(start_s=start, end_s=end, surplus_bytes=1_000_000) for start, end in traffic.bursts)
    return Truth(start_ns=0, bursts={SINGLE.bursty.id: bursts})


def lane(name: str, traffic: Traffic, **more) -> Lane:
    return Lane(SINGLE, traffic, made(name, SINGLE, truth(traffic) if name in NEEDS_TRUTH else None), **more)


def outcome(result):
    return {
        name: (each.sent_bytes, each.dropped_bytes, each.held_mean, each.sojourn_ms(0.99))
        for name, each in result.figures.items()
    }


def test_the_same_seed_gives_the_same_figures_whoever_runs_beside():
    traffic = of_pattern(SINGLE, "microburst", 6, 3, STEP_S)
    alone = simulate([lane("reactive-100ms", traffic)])[0]
    crowd = simulate([lane(each, traffic) for each in ("static-small", "reactive-100ms", "reactive-10ms")])[1]
    assert outcome(alone) == outcome(crowd)


def test_another_seed_is_another_run():
    first, second = (of_pattern(SINGLE, "microburst", 6, seed, STEP_S) for seed in (1, 2))
    found = simulate([lane("static-small", first), lane("static-small", second)])
    assert outcome(found[0]) != outcome(found[1])


def test_every_frame_that_was_sent_is_served_dropped_or_still_held():
    traffic = of_pattern(SINGLE, "periodic", 8, 0, STEP_S)
    found = simulate([lane("static-small", traffic)])[0].figures["bursty"]
    assert found.sent_bytes == pytest.approx(traffic.frames[:, 0].sum() * 1042)
    assert found.sent_bytes == pytest.approx(found.served_bytes + found.dropped_bytes, rel=0.001)
    assert found.dropped_bytes > 0


@pytest.mark.parametrize("pattern", ["microburst", "periodic"])
def test_calm_that_is_leapt_over_comes_out_as_if_every_step_were_taken(pattern, monkeypatch):
    traffic = of_pattern(SINGLE, pattern, 8, 3, STEP_S)
    leapt = simulate([lane("reactive-10ms", traffic)])[0]
    monkeypatch.setattr(Queues, "rested", lambda _: False)
    assert outcome(simulate([lane("reactive-10ms", traffic)])[0]) == outcome(leapt)


def test_an_order_is_obeyed_only_after_the_actuators_latency():
    traffic = of_pattern(SINGLE, "steady", 2, 0, STEP_S)
    policy = Noting({1: 500_000})
    simulate([Lane(SINGLE, traffic, policy, latency_s=0.55)])
    limits = [each[1].limit_bytes for each in policy.shown]
    # Ordered at 0.1 s, in force from 0.65 s on.
    assert limits[:6] == [64 << 10] * 6
    assert set(limits[6:]) == {500_000}


def test_what_a_rule_is_shown_adds_up_to_what_was_sent():
    traffic = of_pattern(SINGLE, "periodic", 8, 0, STEP_S)
    policy = Noting({})
    simulate([Lane(SINGLE, traffic, policy)])
    shown = sum(each[1].arrived_packets for each in policy.shown)
    until = round(policy.shown[-1][1].now_ns / 1e9 / STEP_S)
    assert shown == int(traffic.frames[:until, 0].sum())


def test_runs_of_other_lengths_are_refused_with_a_sentence():
    long, short = (of_pattern(SINGLE, "steady", seconds, 0, STEP_S) for seconds in (3, 2))
    with pytest.raises(Invalid, match="same steps"):
        simulate([lane("static-small", long), lane("static-small", short)])
    with pytest.raises(Invalid, match="warm-up"):
        simulate([lane("static-small", long)], warm_up_s=3)


# ---- a rule cannot see the future ----


def futures(after_s: float) -> tuple[Traffic, Traffic]:
    """One past, and bursts that differ after it."""
    seen = of_pattern(SINGLE, "periodic", 16, 0, STEP_S)
    other = seen.frames.copy()
    cut = round(after_s / STEP_S)
    other[cut:, 0] = np.roll(other[cut:, 0], round(3 / STEP_S))
    moved = tuple((start + 3, end + 3) if start >= after_s else (start, end) for start, end in seen.bursts)
    return seen, replace(seen, frames=other, bursts=moved)


@pytest.mark.parametrize("name", [each for each in NAMES if each not in NEEDS_TRUTH])
def test_two_futures_with_one_past_get_the_same_answers(name):
    answers = []
    for traffic in futures(after_s=9.0):
        policy = made(name, SINGLE)
        given, decided = [], policy.limits

        def noted(seen, given=given, decided=decided):
            given.append((next(iter(seen.values())).now_ns, dict(decided(seen))))
            return given[-1][1]

        simulate([Lane(SINGLE, traffic, _Through(policy.period_s, noted))])
        answers.append([each for each in given if each[0] <= 9e9])
    assert answers[0]
    assert answers[0] == answers[1]


@dataclass
class _Through:
    period_s: float
    limits: object
    name: str = "through"


def test_the_oracle_is_told_apart_by_the_same_test():
    """If it were not, the test above could not find a leak either."""
    found = []
    for traffic in futures(after_s=9.0):
        policy = made("oracle", SINGLE, truth(traffic))
        shown = []
        decided = policy.limits

        def noted(seen, shown=shown, decided=decided):
            shown.append(dict(decided(seen)))
            return shown[-1]

        simulate([Lane(SINGLE, traffic, _Through(policy.period_s, noted))])
        found.append(shown)
    assert found[0] != found[1]


def reachable(root: object) -> list[object]:
    """All objects that Python can get to from here, but for code and modules, which belong to nobody."""
    known: dict[int, object] = {}
    todo = [root]
    while todo:
        each = todo.pop()
        if id(each) in known or isinstance(each, ModuleType | type | FunctionType | BuiltinFunctionType):
            continue
        known[id(each)] = each
        if isinstance(each, MethodType):
            todo.append(each.__self__)
        else:
            todo.extend(gc.get_referents(each))
    return list(known.values())


@pytest.mark.parametrize("name", [each for each in NAMES if each not in NEEDS_TRUTH])
def test_no_rule_can_reach_the_traffic_or_the_truth_while_it_runs(name):
    traffic = of_pattern(SINGLE, "periodic", 3, 0, STEP_S)
    policy = made(name, SINGLE)
    found: list[list[object]] = []
    decided = policy.limits

    def searching(seen):
        if len(found) < 2:
            found.append(reachable(seen) + reachable(policy))
        return decided(seen)

    simulate([Lane(SINGLE, traffic, _Through(policy.period_s, searching))])
    assert found
    for objects in found:
        assert not [each for each in objects if isinstance(each, Traffic | Truth | Lane)]
        assert not [each for each in objects if isinstance(each, np.ndarray) and np.shares_memory(each, traffic.frames)]


def test_the_search_finds_the_truth_where_it_is():
    traffic = of_pattern(SINGLE, "periodic", 3, 0, STEP_S)
    assert any(isinstance(each, Truth) for each in reachable(made("oracle", SINGLE, truth(traffic))))
