"""What is true of the node now, as conditions: at most three, since thousands of nodes report.

Ready            it ticks
ModelReady       its forecasts are acted on, or why not
ConfigAccepted   only when the newest orders are not in force
DataPlaneReady   only when it should enforce and cannot
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sentinel_agent.report import condition, worst
from sentinel_bpf.buffer.port import Tier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_agent.loop import Loop
    from sentinel_agent.tick import Tick
    from sentinel_api.v1alpha1.conditions import NodeCondition
    from sentinel_api.v1alpha1.nodeconfig import NodeConfig


def of(tick: Tick, loop: Loop, config: NodeConfig, model: str, refused: str) -> tuple[NodeCondition, ...]:
    """Beside Ready, the two that matter most. `model` says why the wanted model is not in use."""
    second = refusal(refused, tick.wall_ns) or _degraded(tick, config)
    return (model_ready(tick, loop, model), *second)


def refusal(why: str, wall_ns: int) -> tuple[NodeCondition, ...]:
    return (condition("ConfigAccepted", "False", "Refused", why, wall_ns),) if why else ()


def missing(absent: Mapping[str, str]) -> tuple[NodeCondition, ...]:
    """Of a node none of whose interfaces is there."""
    why = "; ".join(absent.values())
    return (condition("Ready", "False", "InterfaceGone", why, time.time_ns()),) if why else ()


def model_ready(tick: Tick, loop: Loop, trouble: str) -> NodeCondition:
    """The faults first, then what the live score says of the answers; the learners answer meanwhile."""
    if trouble:
        return condition("ModelReady", "False", "ModelRefused", trouble, tick.wall_ns)
    fault = next((each for lane in loop.lanes if (each := lane.fault)), "")
    if fault:
        return condition("ModelReady", "False", "ModelFailed", fault, tick.wall_ns)
    if tick.trusted:
        return condition("ModelReady", "True", "Trusted", "forecasts are acted on", tick.wall_ns)
    gate = loop.config.model.gate
    alarms = max(lane.marks.hits + lane.marks.false_alarms for lane in tick.lanes)
    if alarms < gate.min_events:
        said = f"{alarms} of {gate.min_events} alarms scored, reactive until then"
        return condition("ModelReady", "Unknown", "Learning", said, tick.wall_ns)
    said = f"precision below {gate.open_above_percent} %, reactive meanwhile"
    return condition("ModelReady", "False", "BelowGate", said, tick.wall_ns)


def _degraded(tick: Tick, config: NodeConfig) -> tuple[NodeCondition, ...]:
    verdict = worst(tick)
    if verdict.tier is not Tier.OBSERVE or config.data_plane.mode == "Observe":
        return ()
    unsteered = bool(tick.blind) or any(lane.trouble for lane in tick.lanes)
    if config.data_plane.mode != "Enforce" and not unsteered:
        return ()
    return (condition("DataPlaneReady", "False", "Degraded", verdict.why, tick.wall_ns),)
