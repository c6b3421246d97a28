"""What is written down of a decision, when, and each condition from the world that brings it about."""

from datetime import timedelta

import pytest

from sentinel_operator.decide import autoscale
from sentinel_operator.decide.plan import plan
from sentinel_operator.decide.status import Outcome, status
from sentinel_operator.decide.world import ScaleObject
from support.fleets import asked, fleet, stamp, thought
from support.worlds import NOW, cluster, node, world


def condition(here, kind, considered=True):
    found = status(here, plan(here), Outcome(), thought(here) if considered else None).conditions
    return next(((c.status, c.reason) for c in found if c.type == kind), None)


@pytest.mark.parametrize(
    ("mine", "due"),
    [
        (asked(), 0),
        (asked(said={"observedAt": stamp(4)}), 4),
        (asked(said={"observedAt": stamp(8)}), 0),
        (asked(said={"observedAt": stamp(11)}), 0),
        (asked("Off"), None),
        (cluster(paused=True), None),
        (cluster(deleted_seconds_ago=1), None),
    ],
)
def test_a_decision_is_due_once_an_interval(mine, due):
    assert autoscale.due_in_s(world(of=mine)) == due


@pytest.mark.parametrize(("look_s", "wrote_s", "in_s"), [(0.5, 0.25, 9.25), (0, 0, 10), (5, 1, 7)])
def test_the_next_decision_is_written_within_an_interval_of_what_this_one_knew(look_s, wrote_s, in_s):
    """A look of half a second that wrote for a quarter: the next is written when ten seconds have passed since this one
    looked. Where looks take long, they do not come sooner than after four fifths of the interval."""
    here = world(of=asked())
    assert autoscale.next_in_s(here, NOW + timedelta(seconds=wrote_s), look_s) == in_s


def test_a_decision_that_moves_nodes_is_committed_with_its_inputs():
    found = thought(fleet(asked(), 1.2, 1.2, 1.2))
    assert found.commits
    assert found.status.target_nodes == 4
    (entry,) = found.status.decisions
    assert (entry.from_nodes, entry.to_nodes, entry.required_nodes, entry.applied) == (3, 4, 4, True)
    assert (entry.inputs.reporting_nodes, entry.inputs.coverage_percent, entry.inputs.source) == (3, 100, "Status")
    assert entry.inputs.horizon_seconds == 120
    assert found.status.last_scale_at == NOW


def test_what_was_committed_is_not_decided_again():
    """A leader that died between commit and act leaves three nodes and a target of four: four it stays."""
    found = thought(fleet(asked(said={"targetNodes": 4}), 1.2, 1.2, 1.2))
    assert (found.commits, found.status.target_nodes, found.status.decisions) == (False, 4, ())


def test_a_recommendation_is_written_down_once_and_moves_nothing():
    first = thought(fleet(asked("Recommend"), 1.2, 1.2, 1.2))
    assert (first.commits, first.status.target_nodes, first.status.last_scale_at) == (False, None, None)
    assert [d.applied for d in first.status.decisions] == [False]
    again = thought(fleet(asked("Recommend", said=first.status.wire()), 1.2, 1.2, 1.2))
    assert again.status.decisions == first.status.decisions


def test_the_log_keeps_the_last_ten_newest_first():
    said = {"targetNodes": 3}
    for target in range(12):
        found = thought(
            fleet(asked(said={**said, "targetNodes": 3 + target}, tolerancePercent=0), *[(4 + target) / 3.0] * 3)
        )
        said = found.status.wire()
    assert [d["toNodes"] for d in said["decisions"]] == list(range(15, 5, -1))


def test_off_forgets_all_but_the_log():
    log = thought(fleet(asked(), 1.2, 1.2, 1.2)).status.wire()
    here = world(of=asked("Off", said=log))
    found = status(here, plan(here), Outcome()).scaling
    assert (found.target_nodes, found.required_nodes, len(found.decisions)) == (None, 0, 1)


def test_the_driver_scales_what_its_object_says():
    driver = {"type": "ScaleSubresource", "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pool"}}
    mine = asked(driver=driver)
    assert autoscale.present(world(of=mine, scale=ScaleObject(7))) == 7


QUIET = {"hits": 1, "falseAlarms": 20, "trusted": False}


@pytest.mark.parametrize(
    ("here", "kind", "found"),
    [
        (fleet(asked(), 1.2, 1.2, 1.2), "ScalingActive", ("True", "Forecast")),
        (fleet(asked(), 0.9, 0.9, 0.9), "ScalingActive", ("True", "AsRequired")),
        (fleet(asked("Recommend"), 1.2, 1.2, 1.2), "ScalingActive", ("False", "RecommendOnly")),
        (world(of=asked(), nodes=[node("n0")]), "ScalingActive", ("True", "MinNodes")),
        (world(of=asked(min=1), nodes=[node("n0")]), "ScalingActive", ("False", "NoReports")),
        (fleet(asked(fallback="Hold"), 1, 1, 1, scores=QUIET), "ScalingActive", ("False", "ForecastsNotTrusted")),
        (fleet(asked(driver={"type": "CapacityBuffer"}), 1, 1, 1), "ScalingActive", ("False", "DriverUnavailable")),
        (fleet(asked(driver={"type": "CapacityBuffer"}), 1, 1, 1), "ScalingLimited", ("True", "DriverUnavailable")),
        (fleet(asked(), 0.9, 0.9, 0.9), "ScalingLimited", ("False", "AsRequired")),
        (fleet(asked(max=3), 1.2, 1.2, 1.2), "ScalingLimited", ("True", "MaxNodes")),
        (fleet(asked(), 0.1, 0.1, 0.1), "ScalingLimited", ("True", "MinNodes")),
        (fleet(asked(scaleUp={"maxStepNodes": 1}), 2, 2, 2), "ScalingLimited", ("True", "StepLimit")),
        (fleet(asked(said={"targetNodes": 4}), 1.2, 1.2, 1.2, spares=0), "ScalingLimited", ("True", "NoSpareNodes")),
        (fleet(asked(), 1, 1, 1), "ForecastReady", ("True", "Forecasting")),
        (world(of=asked()), "ForecastReady", ("Unknown", "NoNodes")),
        (world(of=asked(), nodes=[node("n0")]), "ForecastReady", ("False", "LowCoverage")),
        (fleet(asked(), 1, 1, 1, scores=QUIET), "ForecastReady", ("False", "NotTrusted")),
        (fleet(asked(), 1, 1, 1, scores={"trusted": True}), "ModelReady", ("True", "Trusted")),
        (fleet(asked(), 1, 1, 1, scores=QUIET), "ModelReady", ("False", "NotTrustedEverywhere")),
        (world(of=asked()), "ModelReady", ("Unknown", "NoReports")),
    ],
)
def test_each_condition_is_reached(here, kind, found):
    assert condition(here, kind) == found


def test_off_says_that_nothing_is_computed():
    assert condition(world(of=asked("Off")), "ScalingActive", considered=False) == ("False", "Off")


def test_between_two_decisions_the_conditions_of_the_last_one_stand():
    here = fleet(asked(), 1.2, 1.2, 1.2)
    told = status(here, plan(here), Outcome(), thought(here))
    later = here.cluster.model_copy(update={"status": told})
    kept = status(world(of=later, nodes=here.nodes), plan(here), Outcome()).conditions
    assert [(c.status, c.reason) for c in kept if c.type == "ScalingActive"] == [("True", "Forecast")]
