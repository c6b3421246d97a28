"""Nodes that are no longer ours: whose agent must still hand back, and who is done."""

from dataclasses import dataclass

from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_operator.decide import claims
from sentinel_operator.decide.freshness import answers, silence_s
from sentinel_operator.decide.world import World


@dataclass(frozen=True, slots=True)
class Leaving:
    """BufferNodes that are no longer ours: those whose agent must still hand back, and those that are done."""

    detaching: tuple[BufferNode, ...]
    gone: tuple[BufferNode, ...]


def leaving(world: World, kept: set[str]) -> Leaving:
    """A node that leaves keeps its label, and so its agent, until that agent has handed everything back."""
    going = tuple(n for n in world.own_nodes if n.metadata.name not in kept)
    begun = {pod.node for pod in world.pods or () if pod.since and not pod.leaving}
    still = [answers(node, world.now) or (node.metadata.name in begun and _is_coming_up(world, node)) for node in going]
    return Leaving(
        detaching=tuple(node for node, waits in zip(going, still, strict=True) if waits),
        gone=tuple(node for node, waits in zip(going, still, strict=True) if not waits),
    )


def unheard(world: World) -> bool:
    """Whether a node leaves whose agent says nothing: only its pod tells then whether one is there."""
    silent = {n.metadata.name for n in world.own_nodes if not answers(n, world.now) and not _handed_back(n)}
    if not silent or world.cluster.metadata.deletion_timestamp is not None:
        return bool(silent)
    return bool(silent - {node.name for node in claims.claimed(world)})


def _is_coming_up(world: World, node: BufferNode) -> bool:
    """It may have attached its programs by older orders, and not have said a word yet; one that has run for longer than
    an agent may be silent never will."""
    since = max(pod.since for pod in world.pods or () if pod.since and pod.node == node.metadata.name)
    return not _handed_back(node) and (world.now - since).total_seconds() <= silence_s(node)


def _handed_back(node: BufferNode) -> bool:
    return node.status is not None and node.status.state == "Detached"
