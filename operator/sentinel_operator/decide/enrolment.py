"""Who gets a certificate of the mesh: a pod of ours, for the very node that its token says it runs on; a router, for
that node's zone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sentinel_api.names import AGENT_SERVICE_ACCOUNT, NODE_NAME_CLAIM, ROLE_BUFFER, ROLE_EDGE, ROLE_LABEL, ZONE_LABEL
from sentinel_operator.decide.world import Node
from sentinel_operator.render.access import BALANCER_ACCOUNT, ROUTER_ACCOUNT
from sentinel_operator.render.routers import zone_name

USAGES = frozenset({"digital signature", "client auth", "server auth"})
_ACCOUNTS = {AGENT_SERVICE_ACCOUNT: ROLE_BUFFER, BALANCER_ACCOUNT: ROLE_EDGE}  # → the role that its node must carry


@dataclass(frozen=True, slots=True)
class Asker:
    """`username` and `extra` are what the API server found about whoever made the request: nobody writes them."""

    username: str
    extra: Mapping[str, Sequence[str]]
    usages: tuple[str, ...]


def refusal(asker: Asker, name: str, nodes: Collection[Node], namespaces: Collection[str]) -> str:
    """Why this one gets no certificate for `name`, as a sentence; empty when it does. `namespaces`: of our clusters."""
    prefix, _, account = asker.username.rpartition(":")
    kind, _, namespace = prefix.rpartition(":")
    known = account in _ACCOUNTS or account == ROUTER_ACCOUNT
    if kind != "system:serviceaccount" or not known or namespace not in namespaces:
        return f"{asker.username} is no agent, no balancer and no router of a BufferCluster"
    claimed = tuple(asker.extra.get(NODE_NAME_CLAIM, ()))
    whose = f"runs on node {claimed[0]}" if len(claimed) == 1 else "belongs to no node"
    granted = _zones_of(claimed, nodes) if account == ROUTER_ACCOUNT else claimed
    if granted != (name,):
        return f"the token {whose}, so it gets no certificate for {name}"
    if not USAGES.issuperset(asker.usages):
        return f"a member of the mesh needs no more than {', '.join(sorted(USAGES))}"
    role = _ACCOUNTS.get(account)
    if role and not any(node.name == name and node.labels.get(ROLE_LABEL) == role for node in nodes):
        return f"node {name} has not the role {role}: label it {ROLE_LABEL}={role}"
    return ""


def _zones_of(claimed: tuple[str, ...], nodes: Collection[Node]) -> tuple[str, ...]:
    """What a router may be called: by the zone of the node that its token names."""
    return tuple(zone_name(node.labels.get(ZONE_LABEL, "")) for node in nodes if claimed == (node.name,))
