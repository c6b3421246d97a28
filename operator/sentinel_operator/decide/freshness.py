"""When the word of a node's agent still counts."""

from datetime import datetime

from sentinel_api.v1alpha1.buffernode import BufferNode

HEARTBEAT_REPORTS = 3  # an agent reports every third interval at the latest, changed or not
STALE_HEARTBEATS = 3  # that many missing heartbeats make a report stale


def silence_s(node: BufferNode) -> int:
    """How long an agent may be silent before its last word is stale."""
    return STALE_HEARTBEATS * HEARTBEAT_REPORTS * node.spec.report_seconds


def answers(node: BufferNode, now: datetime) -> bool:
    """Whether an agent lives there, which then has something to hand back too."""
    status = node.status
    if status is None or status.state == "Detached":
        return False
    return status.forecast is None or (now - status.forecast.observed_at).total_seconds() <= silence_s(node)
