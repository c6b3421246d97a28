"""Fleets that ask to be scaled, as worlds, and everything that the operator then says of them."""

from datetime import timedelta

from sentinel_operator.decide import autoscale
from sentinel_operator.decide.plan import plan
from sentinel_operator.decide.status import Outcome, status
from sentinel_operator.predict import Memory, predict
from support.worlds import NOW, buffer_node, cluster, node, report, world

CAPACITY = 10**9


def stamp(seconds_ago):
    return (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")


def asked(mode="Auto", said=None, **scaling):
    return cluster(status={"scaling": said or {}}, scaling={"mode": mode, "headroomPercent": 0, **scaling})


def fleet(mine, *loads, spares=1, scores=None, **said):
    """Nodes that carry half of what they expect, each of them so many nodes' worth."""
    names = [f"n{i}" for i in range(len(loads))]
    reports = [
        report(
            demand=int(CAPACITY * load / 2), points=[(120, int(CAPACITY * load), int(CAPACITY * load))], scores=scores
        )
        | said
        for load in loads
    ]
    return world(
        of=mine,
        nodes=[*(node(name) for name in names), *(node(f"s{i}", role="") for i in range(spares))],
        buffer_nodes=[buffer_node(name, mine, told) for name, told in zip(names, reports, strict=True)],
    )


def thought(here):
    demand, _ = predict(here, Memory())
    return autoscale.consider(here, demand)


def said(here, *, outcome=None, considered=True, addresses=None):
    """Every condition as (type, status, reason)."""
    considering = considered and autoscale.due_in_s(here) is not None
    found = status(here, plan(here), outcome or Outcome(), thought(here) if considering else None, addresses)
    return {(c.type, c.status, c.reason) for c in found.conditions}
