"""Events tell what changed, once, and stay silent while nothing does."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus, Rollout, ScalingDecision, ScalingStatus
from sentinel_api.v1alpha1.conditions import Condition
from sentinel_operator.decide.changes import changes
from support.worlds import NOW


def condition(kind, status, reason="Why", message=""):
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=NOW)


def told(old, new):
    return [(c.kind, c.reason) for c in changes(old, new, NOW)]


STATUSES = st.builds(
    BufferClusterStatus,
    conditions=st.lists(
        st.builds(
            condition,
            st.sampled_from(["Ready", "Degraded", "ScalingActive", "ScalingLimited", "Progressing"]),
            st.sampled_from(["True", "False", "Unknown"]),
            st.sampled_from(["A", "B", "Off"]),
            st.text("ab", max_size=3),
        ),
        max_size=5,
        unique_by=lambda c: c.type,
    ).map(tuple),
    rollout=st.builds(Rollout, phase=st.sampled_from(["Done", "Canary", "Held"])),
)


@given(STATUSES)
def test_the_same_status_tells_nothing(status):
    assert not told(status, status)


def test_a_condition_that_turns_bad_warns_and_one_that_turns_good_does_not():
    good = BufferClusterStatus(conditions=(condition("Ready", "True", "AllAgentsReady"),))
    bad = BufferClusterStatus(conditions=(condition("Ready", "False", "AgentsNotReady"),))
    assert told(good, bad) == [("Warning", "AgentsNotReady")]
    assert told(bad, good) == [("Normal", "AllAgentsReady")]


def test_a_number_that_moves_in_a_message_is_no_change():
    one = BufferClusterStatus(conditions=(condition("Ready", "False", "AgentsNotReady", "1 of 9"),))
    two = BufferClusterStatus(conditions=(condition("Ready", "False", "AgentsNotReady", "2 of 9"),))
    assert not told(one, two)


def test_a_new_cluster_tells_only_what_is_wrong():
    new = BufferClusterStatus(
        conditions=(condition("Ready", "False", "NoNodes"), condition("Degraded", "False", "AsExpected"))
    )
    assert told(BufferClusterStatus(), new) == [("Warning", "NoNodes")]


def test_a_decision_is_told_when_it_is_acted_on():
    def scaled(**given):
        decision = ScalingDecision(
            decided_at=NOW, from_nodes=3, to_nodes=5, required_nodes=5, reactive_nodes=3, reason="Forecast", **given
        )
        return BufferClusterStatus(scaling=ScalingStatus(decisions=(decision,)))

    assert told(BufferClusterStatus(), scaled(applied=True)) == [("Normal", "ScaledOut")]
    assert not told(BufferClusterStatus(), scaled(applied=False))
    assert not told(scaled(applied=True), scaled(applied=True))


def test_each_step_of_a_roll_out_is_told_once():
    canary = BufferClusterStatus(rollout=Rollout(target="t", phase="Canary", since=NOW, message="first"))
    later = BufferClusterStatus(rollout=Rollout(target="t", phase="Canary", since=NOW + timedelta(seconds=9)))
    held = BufferClusterStatus(rollout=Rollout(target="t", phase="Held", message="it dropped"))
    assert told(BufferClusterStatus(), canary) == [("Normal", "RolloutCanary")]
    assert not told(canary, later)
    assert told(later, held) == [("Warning", "RolloutHeld")]
