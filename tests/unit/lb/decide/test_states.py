"""States: two witnesses for a death, fresh news for readiness, and a sentence for each."""

from dataclasses import dataclass, replace

import pytest

from sentinel_api.records import CLASSES, ClassState, Flag, NodeState, Role, Tier
from sentinel_api.v1alpha1.balancerconfig import BackendSpec
from sentinel_lb.decide.seats import Seat
from sentinel_lb.decide.states import FRESH_NS, Evidence, standing
from sentinel_lb.decide.weights import State
from sentinel_mesh.membership import Level, Probe

NOW = 10**12
SEAT = Seat(3, 1, BackendSpec(name="a", address="10.0.0.1"))
SAID = NodeState(1, 1, Tier.B, Role.BUFFER, load=0.25, classes=tuple(ClassState(1000 + n) for n in range(CLASSES)))


@dataclass(frozen=True)
class Member:
    level: Level
    state: NodeState | None = SAID
    heard_ns: int | None = NOW
    held: bool = False
    """Suspected for a fall that is over."""

    @property
    def speaks(self) -> bool:
        return self.level is Level.ALIVE or self.held


def judged(level=None, probe=Probe.GOOD, *, seat=SEAT, heard_ns=NOW, state=SAID, **more):
    member = None if level is None else Member(level, state, heard_ns)
    return standing(seat, Evidence(member, probe, **more), NOW)


@pytest.mark.parametrize(
    ("level", "probe", "state"),
    [
        pytest.param(Level.ALIVE, Probe.GOOD, State.READY, id="both speak for it"),
        pytest.param(Level.ALIVE, Probe.FAILING, State.READY, id="probes lost, mesh alive"),
        pytest.param(Level.ALIVE, Probe.UNKNOWN, State.READY, id="nobody probes"),
        pytest.param(Level.HEADLESS, Probe.GOOD, State.BUSY, id="its agent is dead"),
        pytest.param(Level.SUSPECTED, Probe.GOOD, State.BUSY, id="suspicion alone proves nothing"),
        pytest.param(Level.SUSPECTED, Probe.FAILING, State.DEAD, id="probes lost, and suspected"),
        pytest.param(Level.DEAD, Probe.FAILING, State.DEAD, id="both are silent"),
        pytest.param(Level.DEAD, Probe.UNKNOWN, State.BUSY, id="the prober is silent: everybody lives"),
        pytest.param(None, Probe.GOOD, State.BUSY, id="never heard, but answers"),
        pytest.param(None, Probe.FAILING, State.DEAD, id="never heard, answers nothing"),
    ],
)
def test_a_state_follows_from_two_witnesses(level, probe, state):
    found = judged(level, probe)
    assert found.state is state
    assert found.reason
    assert found.present


def test_the_dead_stay_so_until_somebody_speaks_for_them():
    assert judged(Level.DEAD, Probe.UNKNOWN, was=State.DEAD).state is State.DEAD
    assert judged(Level.DEAD, Probe.GOOD, was=State.DEAD).state is State.BUSY
    assert judged(Level.ALIVE, Probe.UNKNOWN, was=State.DEAD).state is State.READY


def test_the_kernel_gets_the_room_of_who_is_ready_and_of_nobody_else():
    assert judged(Level.ALIVE).room == tuple(1000 + n for n in range(CLASSES))
    assert judged(Level.ALIVE).load == 250
    for found in (judged(Level.SUSPECTED), judged(Level.HEADLESS), judged(Level.ALIVE, heard_ns=NOW - FRESH_NS - 1)):
        assert (found.room_ns, set(found.room)) == (0, {0})


def test_suspicion_is_told_to_the_kernel_which_asks_for_a_second_witness():
    assert judged(Level.SUSPECTED).suspected
    assert judged(Level.HEADLESS, Probe.GOOD).suspected
    assert not judged(Level.ALIVE, Probe.FAILING).suspected


@pytest.mark.parametrize("probe", Probe)
def test_a_fall_that_is_over_takes_no_flow_away_whatever_the_probes_say(probe):
    found = standing(SEAT, Evidence(Member(Level.SUSPECTED, held=True), probe), NOW)
    assert (found.state, found.suspected) == (State.BUSY, False)


def test_a_node_drains_by_its_own_word_or_by_the_configuration():
    own = judged(Level.ALIVE, state=replace(SAID, flags=Flag.DRAINING))
    told = judged(Level.ALIVE, seat=replace(SEAT, drains_since_ns=NOW))
    for found in (own, told):
        assert (found.state, found.draining, found.present) == (State.DRAINING, True, True)


def test_an_ended_drain_lets_the_last_flows_move():
    found = judged(Level.ALIVE, ended="its time to drain is over")
    assert not found.present
    assert "its time to drain is over" in found.reason


def test_without_a_way_nothing_is_sent():
    found = judged(Level.ALIVE, way="no route")
    assert (found.present, found.state, found.reason) == (False, State.DEAD, "no route")
