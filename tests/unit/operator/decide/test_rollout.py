"""A change goes to a few nodes first, then on in small steps, and back by itself when it does harm."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel_api.v1alpha1.agent import UpdateStrategy
from sentinel_api.v1alpha1.clusterstatus import Rollout
from sentinel_operator.decide.rollout import ANSWER_S, Member, backward, forward, refused
from support.worlds import NOW

OLD, NEW = "old", "new"
GOOD = f"sha256:{'a' * 64}"
LOOK_S = 10


@dataclass
class Fleet:
    """Nodes as a perfect executor of steps would have them; `cursed` never work with the new version."""

    rules: UpdateStrategy
    size: int
    cursed: frozenset[str] = frozenset()
    drops_with_new: int = 0
    now: object = NOW
    state: Rollout = field(default_factory=lambda: Rollout(target=OLD, good=OLD, good_config_digest=GOOD))
    version: dict = field(default_factory=dict)
    dropped: dict = field(default_factory=dict)
    busiest: int = 0

    def __post_init__(self):
        self.version = {f"n{i:02}": OLD for i in range(self.size)}
        self.dropped = dict.fromkeys(self.version, 0)

    def members(self, wanted):
        return [
            Member(
                name, ordered=version == wanted, running=version == wanted, alive=True, dropped=self.dropped[name],
                healthy=not (version == NEW and name in self.cursed),
            )
            for name, version in self.version.items()
        ]  # fmt: skip

    def look(self):
        if refused(self.state, NEW):
            step, wanted = backward(self.rules, self.state, self.members(OLD)), OLD
        else:
            step, wanted = forward(self.rules, self.state, NEW, self.members(NEW), self.now), NEW
            wanted = OLD if step.back else NEW
        changed = [n for n in step.change if self.version[n] != wanted]
        self.busiest = max(self.busiest, len(changed))
        self.version |= dict.fromkeys(changed, wanted)
        self.state = step.state
        for name, version in self.version.items():
            self.dropped[name] += self.drops_with_new if version == NEW else 0
        self.now += timedelta(seconds=LOOK_S)
        return step

    def run(self, looks=400):
        for _ in range(looks):
            self.look()
            if self.state.phase in ("Done", "Held") and self.state.target == NEW:
                return self
        raise AssertionError(f"it never ended: {self.state}")


def rules(**given):
    return UpdateStrategy(**{"canary_nodes": 1, "soak_seconds": 60, "max_unavailable_percent": 10, **given})


@settings(max_examples=60)
@given(
    size=st.integers(1, 60),
    canaries=st.integers(0, 5),
    percent=st.integers(1, 100),
    soak=st.integers(0, 120),
)
def test_a_good_change_reaches_every_node_and_never_more_at_once_than_allowed(size, canaries, percent, soak):
    chosen = rules(canary_nodes=canaries, max_unavailable_percent=percent, soak_seconds=soak)
    fleet = Fleet(chosen, size).run(looks=size + 40)
    assert set(fleet.version.values()) == {NEW}
    assert fleet.state.phase == "Done"
    assert fleet.busiest <= max(1, canaries, size * percent // 100)


@settings(max_examples=60)
@given(size=st.integers(2, 40), canaries=st.integers(1, 3), cursed=st.sets(st.integers(0, 39), min_size=1))
def test_a_change_that_breaks_nodes_leaves_none_broken(size, canaries, cursed):
    names = frozenset(f"n{i:02}" for i in cursed if i < size)
    fleet = Fleet(rules(canary_nodes=canaries, soak_seconds=20), size, cursed=names).run()
    broken = [name for name in names if fleet.version[name] == NEW]
    assert not broken
    assert fleet.state.phase == ("Held" if names else "Done")
    assert set(fleet.version.values()) == {OLD if names else NEW}


def test_the_others_wait_for_the_first_node_and_its_soak():
    fleet = Fleet(rules(), 10)
    fleet.look()
    assert list(fleet.version.values()).count(NEW) == 1
    seen = [fleet.look() for _ in range(6)]
    assert all(step.state.phase == "Soaking" for step in seen)
    assert list(fleet.version.values()).count(NEW) == 1
    fleet.look()
    assert fleet.state.phase == "Spreading"


def test_drops_that_the_others_do_not_see_take_the_change_back():
    fleet = Fleet(rules(), 5, drops_with_new=1_000).run()
    assert fleet.state.phase == "Held"
    assert "dropped" in fleet.state.message
    assert set(fleet.version.values()) == {OLD}


def test_worse_foresight_takes_the_change_back():
    state = Rollout(target=NEW, good=OLD, good_config_digest=GOOD, phase="Soaking", since=NOW, baseline={})
    member = Member("n0", ordered=True, running=True, healthy=True, alive=True, precision=40)
    peer = replace(member, node="n1", ordered=False, running=False, precision=80)
    step = forward(rules(), state, NEW, [member, peer], NOW)
    assert (step.state.phase, step.back) == ("RollingBack", True)
    assert "precision" in step.state.message
    unproved = replace(member, precision=None)
    assert forward(rules(), state, NEW, [unproved, peer], NOW).state.phase == "Soaking", "it met no burst yet"


def test_without_roll_back_it_stops_where_it_is_and_says_why():
    fleet = Fleet(rules(roll_back=False), 5, drops_with_new=1_000).run()
    assert list(fleet.version.values()).count(NEW) == 1
    assert "dropped" in fleet.state.message
    assert not fleet.look().change


def test_before_anything_was_good_it_goes_in_small_steps_and_never_back():
    fleet = Fleet(rules(), 20, state=Rollout()).run()
    assert (fleet.state.phase, fleet.busiest) == ("Done", 2)
    broken = Fleet(rules(), 20, cursed=frozenset({"n00", "n01"}), state=Rollout())
    for _ in range(60):
        assert not broken.look().back
    assert list(broken.version.values()).count(NEW) == 2, "what does not work does not go on"


def test_going_back_to_what_was_good_needs_no_canary():
    fleet = Fleet(rules(), 20, state=Rollout(target="half-way", phase="Canary", good=NEW, good_config_digest=GOOD))
    fleet.version = dict.fromkeys(fleet.version, NEW) | {"n00": "half-way"}
    fleet.look()
    assert (fleet.state.phase, set(fleet.version.values())) == ("Spreading", {NEW})


@pytest.mark.parametrize("phase", ["Done", "Spreading"])
def test_a_node_that_sleeps_through_it_holds_nobody_up(phase):
    state = Rollout(target=NEW, good=OLD, good_config_digest=GOOD, phase=phase)
    asleep = Member("n9", ordered=False, running=False, healthy=False, alive=False)
    awake = Member("n0", ordered=True, running=True, healthy=True, alive=True)
    step = forward(rules(), state, NEW, [asleep, awake], NOW)
    assert step.state.phase == "Done"
    assert "n9" in step.change, "when it wakes it shall find its orders"


def test_a_canary_that_never_works_is_given_up_after_a_time():
    fleet = Fleet(rules(), 4, cursed=frozenset({"n00"}))
    looks = 0
    while fleet.state.phase != "RollingBack":
        fleet.look()
        looks += 1
    assert looks * LOOK_S >= ANSWER_S


def test_a_node_that_was_sick_before_neither_stops_a_change_nor_is_held_against_it():
    fleet = Fleet(rules(soak_seconds=0), 10, cursed=frozenset({"n07"}))
    always_sick = fleet.members
    fleet.members = lambda wanted: [replace(m, healthy=m.node != "n07") for m in always_sick(wanted)]
    assert fleet.run().state.phase == "Done"
    assert set(fleet.version.values()) == {NEW}
