"""docs/reference/conditions.md: every condition with its reasons, and every Event, from the code that makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from pages.markdown import head, table
from pages.verdicts import Verdict, verdicts
from sentinel_api.v1alpha1.clusterstatus import Rollout
from sentinel_operator.decide import autoscale
from sentinel_operator.decide.changes import BAD_WHEN_TRUE, QUIET
from sentinel_operator.decide.services import CONDITION, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

PHASES: Final = get_args(Rollout.model_fields["phase"].annotation)
CLUSTER: Final = tuple(f"operator/sentinel_operator/decide/{name}.py" for name in ("status", "autoscale"))
NODE: Final = tuple(f"node_agent/sentinel_agent/{name}.py" for name in ("conditions", "report"))
HOLDS: Final = ("NoReports", "ForecastsNotTrusted")
WORDS: Final[Mapping[str, Sequence[str]]] = {
    "plan.rollout.phase": [each for each in PHASES if each not in ("Done", "Held")],
    "plan.blocked": ("Paused", "Detaching"),
    "False thought.verdict.reason": HOLDS,
    "True thought.verdict.reason": [each for each in autoscale.WHY if each not in HOLDS],
    "reason": ("MaxNodes", "MinNodes", "StepLimit", "ScaleOutOnly", "Stabilising", "LowCoverage", *HOLDS),
}

CLUSTER_TYPES: Final[Mapping[str, str]] = {
    "DataPlaneReady": "Programs and queues are in place where they should be.",
    "Degraded": "Something is worse than the spec asks for. True is bad.",
    "ForecastReady": "Enough nodes send forecasts to scale by.",
    "LoadBalancerReady": "Balancers forward, and Services have addresses. Only where there is a pool of them.",
    "ModelReady": "Nodes act on the model's forecasts; where they do not, the fallback answers.",
    "Progressing": "The operator is changing something.",
    "Ready": "All agents work.",
    "ScalingActive": "The number of nodes follows the forecasts.",
    "ScalingLimited": "A bound keeps the number of nodes from what was called for. True is bad.",
}
NODE_TYPES: Final[Mapping[str, str]] = {
    "ConfigAccepted": "Only there when the newest orders are not in force; the last good ones are.",
    "DataPlaneReady": "Only there when the node should enforce and cannot.",
    "ModelReady": "Its forecasts are acted on.",
    "Ready": "The agent ticks.",
}
SERVICE: Final[Mapping[str, str]] = {
    "Assigned": "The Service is reachable at its addresses.",
    "PoolExhausted": "No address is left: add a range to spec.loadBalancer.addressPool.",
    "AddressRefused": "The address asked for is outside the pool, or not to be had.",
    "PortTaken": "Another Service has that port of that address.",
    "ProtocolUnsupported": "Only TCP and UDP are balanced.",
}
ROLLOUT: Final[Mapping[str, str]] = {
    "Done": "All nodes run what the spec asks for.",
    "Canary": "A first node changes.",
    "Soaking": "It is watched.",
    "Spreading": "The others follow.",
    "RollingBack": "Changed nodes were worse than the others; they go back.",
    "Held": "It failed and waits for another spec.",
}
PAGE: Final = """\
{head}
`kubectl sentinel explain buffercluster/NAME` and `node/NAME` say the same of one object, with what would change it.
A `…` stands for a name or number. Where no sentence stands here, the condition's message carries the cause itself.

## Of a BufferCluster

{cluster}
## Of a BufferNode

{node}
## Of a Service of our class

The condition is `{service_type}`: True with the reason `Assigned`, else False.

{service}
## Events

An Event is written when a condition of a BufferCluster changes its status or reason, `{quiet}` apart: the reason is
the condition's, the type Warning where it became bad ({bad} when True, others when False). Beside those:

{events}"""


def page(root: Path) -> str:
    quiet, bad = ", ".join(QUIET), " and ".join(BAD_WHEN_TRUE)
    return PAGE.format(
        head=head("Conditions and events"),
        cluster=_types(found(root, CLUSTER), CLUSTER_TYPES),
        node=_types(found(root, NODE), NODE_TYPES),
        service_type=CONDITION,
        service=table(("reason", "meaning"), ((f"`{each}`", SERVICE[each]) for each in get_args(Reason))),
        quiet=quiet,
        bad=bad,
        events=table(("object", "type", "reason", "meaning"), _events()),
    )


def found(root: Path, sources: Iterable[str]) -> tuple[Verdict, ...]:
    return verdicts([root / path for path in sources], WORDS)


def _types(passed: tuple[Verdict, ...], meanings: Mapping[str, str]) -> str:
    """A table for each type. A type that nobody described, or that nobody sets, is a mistake of the page."""
    kinds = sorted({each.kind for each in passed})
    assert kinds == sorted(meanings), f"described are {sorted(meanings)}, set are {kinds}"
    return "\n".join(
        f"### `{kind}`\n\n{meanings[kind]}\n\n"
        + table(
            ("status", "reason", "message"),
            ((each.status, f"`{each.reason}`", each.message) for each in passed if each.kind == kind),
        )
        for kind in kinds
    )


def _events() -> Iterable[tuple[str, str, str, str]]:
    for phase in PHASES:
        kind = "Warning" if phase in ("RollingBack", "Held") else "Normal"
        yield "BufferCluster", kind, f"`Rollout{phase}`", ROLLOUT[phase]
    yield "BufferCluster", "Normal", "`ScaledOut`", "More nodes were asked for, and why."
    yield "BufferCluster", "Normal", "`ScaledIn`", "Fewer nodes were asked for, and why."
    for reason in get_args(Reason):
        if reason != "Assigned":
            yield "Service", "Warning", f"`{reason}`", SERVICE[reason]
