"""Every condition with every reason that the operator can give, from a world that brings it about; none is left out."""

import ast
import inspect
from dataclasses import replace

import pytest

from sentinel_operator.decide import autoscale, scale
from sentinel_operator.decide import status as statuses
from sentinel_operator.decide.plan import plan
from sentinel_operator.decide.status import Addresses, Outcome
from sentinel_operator.decide.world import Agents, ScaleObject
from support.fleets import asked, fleet, said, stamp
from support.worlds import buffer_node, carried_out, cluster, node, report, world

UNSURE = {"hits": 1, "falseAlarms": 20, "trusted": False}
ENFORCE = {"mode": "Enforce", "interfaces": [{"rateBitsPerSecond": 10**9}]}
SCALED = {"type": "ScaleSubresource", "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pool"}}
CALM = {"observedAt": stamp(11), "recent": [{"since": stamp(400), "nodes": 3}]}
HOLDING = asked(min=1, fallback="Hold")
GOOD = f"sha256:{'1' * 64}"
POOL = cluster(loadBalancer={"addressPool": ["192.0.2.0/30"]})


def running():
    """Two nodes that run what is asked for."""
    mine = cluster(scaling={"mode": "Off"})
    after, _ = carried_out(world(of=mine, nodes=(node("n0"), node("n1"))))
    told = [order.model_copy(update={"status": word(order)}) for order in after.buffer_nodes]
    return carried_out(replace(after, buffer_nodes=tuple(told)))[0]


def word(order, **report_of):
    return buffer_node("n", cluster(), report(config_digest=order.spec.config_digest, **report_of)).status


def changing(phase, broken=False):
    """A change that is half-way: one node runs it, and the other still runs what was good."""
    here = running()
    state = plan(here).rollout.model_copy(update={"phase": phase, "good": "older", "good_config_digest": GOOD})
    first, second = here.buffer_nodes
    old = second.model_copy(update={"spec": second.spec.model_copy(update={"config_digest": GOOD})})
    if broken:
        first = first.model_copy(update={"status": word(first, ready="False")})
    status = cluster(status={"rollout": {**state.wire(), "since": stamp(1)}}).status
    return replace(here, buffer_nodes=(first, old), cluster=here.cluster.model_copy(update={"status": status}))


def shrunk(mode="Auto", **scaling):
    """Five nodes of which three would do, and long have done."""
    long = {"observedAt": stamp(11), "recent": [{"since": stamp(400), "nodes": 3}]}
    return fleet(asked(mode, said={"targetNodes": 6, **long}, min=1, **scaling), *[0.45] * 6)


def observing():
    mine = cluster(dataPlane=ENFORCE)
    return world(of=mine, nodes=[node("n0")], buffer_nodes=[buffer_node("n0", mine, report(tier="C"))])


def silent():
    """One of three nodes reports."""
    return replace(fleet(asked(min=1), 1), nodes=tuple(node(f"n{i}") for i in range(3)))


def outranked():
    return world(rivals=[cluster("a", born_minutes_ago=99)], nodes=[node("n")])


def leaving():
    dying = cluster(deleted_seconds_ago=1)
    return world(of=dying, buffer_nodes=[buffer_node("n0", dying, report())])


def was_balanced():
    known = {"type": "LoadBalancerReady", "status": "True", "reason": "Forwarding", "lastTransitionTime": stamp(9)}
    return world(of=cluster(status={"conditions": [known]}))


def scaled(refusal):
    return replace(fleet(asked(driver=SCALED), 1, 1, 1), scale=ScaleObject(3, "1", refusal))


CASES = [
    ("Ready", "True", "AllAgentsReady", lambda: said(running())),
    ("Ready", "False", "ApplyFailed", lambda: said(running(), outcome=Outcome("no right to do it"))),
    ("Ready", "False", "Paused", lambda: said(world(of=cluster(paused=True)))),
    ("Ready", "False", "Detaching", lambda: said(leaving())),
    ("Ready", "False", "NodesTaken", lambda: said(outranked())),
    ("Ready", "False", "NoNodes", lambda: said(world())),
    ("Ready", "False", "AgentsNotReady", lambda: said(changing("Soaking", broken=True))),
    ("Progressing", "False", "Settled", lambda: said(running())),
    ("Progressing", "True", "Applying", lambda: said(replace(running(), owned={}))),
    ("Progressing", "True", "Canary", lambda: said(changing("Canary", broken=True))),
    ("Progressing", "True", "Soaking", lambda: said(changing("Soaking"))),
    ("Progressing", "True", "Spreading", lambda: said(changing("Spreading"))),
    ("Progressing", "True", "RollingBack", lambda: said(changing("Soaking", broken=True))),
    ("Degraded", "False", "AsExpected", lambda: said(running())),
    ("Degraded", "True", "NodesTaken", lambda: said(outranked())),
    ("Degraded", "True", "ApplyFailed", lambda: said(running(), outcome=Outcome("no"))),
    ("Degraded", "True", "ObserveOnly", lambda: said(observing())),
    ("Degraded", "True", "RolloutFailed", lambda: said(changing("Soaking", broken=True))),
    ("DataPlaneReady", "True", "Loaded", lambda: said(running())),
    ("DataPlaneReady", "Unknown", "NoReports", lambda: said(world())),
    ("LoadBalancerReady", "True", "Forwarding",
     lambda: said(replace(world(of=POOL), balancers=Agents(1, 1)), addresses=Addresses(1))),
    ("LoadBalancerReady", "False", "NoBalancer", lambda: said(world(of=POOL), addresses=Addresses(1))),
    ("LoadBalancerReady", "False", "ServiceRefused", lambda: said(world(of=POOL), addresses=Addresses(0, "full"))),
    ("LoadBalancerReady", "False", "Off", lambda: said(was_balanced())),
    ("ScalingActive", "False", "Off", lambda: said(world(of=asked("Off")))),
    ("ScalingActive", "False", "DriverUnavailable", lambda: said(fleet(asked(driver={"type": "CapacityBuffer"}), 1))),
    ("ScalingActive", "False", "RecommendOnly", lambda: said(fleet(asked("Recommend"), 1, 1, 1))),
    ("ScalingActive", "False", "NoReports", lambda: said(world(of=asked(min=1), nodes=[node("n0")]))),
    ("ScalingActive", "False", "ForecastsNotTrusted", lambda: said(fleet(HOLDING, 1, scores=UNSURE))),
    ("ScalingActive", "True", "AsRequired", lambda: said(fleet(asked(), 0.9, 0.9, 0.9))),
    ("ScalingActive", "True", "Forecast", lambda: said(fleet(asked(), 1.2, 1.2, 1.2))),
    ("ScalingActive", "True", "PresentDemand", lambda: said(fleet(asked(), 2.6, 2.6, 2.6, scores=UNSURE))),
    ("ScalingActive", "True", "WithinTolerance", lambda: said(fleet(asked(tolerancePercent=50), 1.05, 1.05, 1.05))),
    ("ScalingActive", "True", "LessDemand", lambda: said(shrunk())),
    ("ScalingActive", "True", "Stabilising", lambda: said(fleet(asked(min=1), *[0.3] * 6))),
    ("ScalingActive", "True", "ScaleOutOnly", lambda: said(shrunk("ScaleOutOnly"))),
    ("ScalingActive", "True", "LowCoverage", lambda: said(silent())),
    ("ScalingActive", "True", "MinNodes", lambda: said(world(of=asked(), nodes=[node("n0")]))),
    ("ScalingActive", "True", "MaxNodes", lambda: said(fleet(asked(max=3, said={"targetNodes": 5}), *[0.9] * 5))),
    ("ScalingLimited", "False", "Off", lambda: said(world(of=asked("Off")))),
    ("ScalingLimited", "False", "AsRequired", lambda: said(fleet(asked(), 0.9, 0.9, 0.9))),
    ("ScalingLimited", "True", "DriverUnavailable", lambda: said(scaled("there is no Deployment pool"))),
    ("ScalingLimited", "True", "NoSpareNodes", lambda: said(fleet(asked(said={"targetNodes": 4}), 1, 1, 1, spares=0))),
    ("ScalingLimited", "True", "MaxNodes", lambda: said(fleet(asked(max=3), 1.2, 1.2, 1.2))),
    ("ScalingLimited", "True", "MinNodes", lambda: said(fleet(asked(), 0.1, 0.1, 0.1))),
    ("ScalingLimited", "True", "StepLimit", lambda: said(fleet(asked(scaleUp={"maxStepNodes": 1}), 2, 2, 2))),
    ("ScalingLimited", "True", "Stabilising", lambda: said(fleet(asked(min=1), *[0.3] * 6))),
    ("ScalingLimited", "True", "ScaleOutOnly", lambda: said(shrunk("ScaleOutOnly"))),
    ("ScalingLimited", "True", "NoReports", lambda: said(world(of=asked(min=1), nodes=[node("n0")]))),
    ("ForecastReady", "True", "Forecasting", lambda: said(fleet(asked(), 1, 1, 1))),
    ("ForecastReady", "False", "LowCoverage", lambda: said(world(of=asked(), nodes=[node("n0")]))),
    ("ForecastReady", "False", "NotTrusted", lambda: said(fleet(asked(), 1, 1, 1, scores=UNSURE))),
    ("ForecastReady", "Unknown", "NoNodes", lambda: said(world(of=asked()))),
    ("ModelReady", "True", "Trusted", lambda: said(fleet(asked(), 1, scores={"trusted": True}))),
    ("ModelReady", "False", "NotTrustedEverywhere", lambda: said(fleet(asked(), 1, scores=UNSURE))),
    ("ModelReady", "Unknown", "NoReports", lambda: said(world(of=asked()))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "state", "reason", "reach"), CASES, ids=[f"{c[0]}-{c[1]}-{c[2]}" for c in CASES])
def test_it_is_reached(kind, state, reason, reach):
    assert (kind, state, reason) in reach()


def test_the_table_names_every_reason_that_the_source_does():
    named = {reason for module in (statuses, autoscale) for reason in reasons_in(module)}
    named |= set(autoscale.WHY) | set(autoscale._LIMITS) | set(statuses._BLOCKED)
    named |= {name for name in ("NoReports", "ForecastsNotTrusted", "LowCoverage") if name in inspect.getsource(scale)}
    assert named <= {case[2] for case in CASES}


def reasons_in(module):
    """What stands second in a tuple whose first is the status of a condition."""
    for found in ast.walk(ast.parse(inspect.getsource(module))):
        parts = found.elts if isinstance(found, ast.Tuple) else []
        words = [part.value for part in parts[:2] if isinstance(part, ast.Constant)]
        if len(words) == 2 and words[0] in ("True", "False", "Unknown") and str(words[1]).isalpha():
            yield words[1]
