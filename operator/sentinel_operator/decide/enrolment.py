"""Who gets a certificate of the mesh: a pod of ours, for the very node that its token says it runs on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sentinel_api.names import AGENT_SERVICE_ACCOUNT, NODE_NAME_CLAIM, ROLE_BUFFER, ROLE_EDGE, ROLE_LABEL
from sentinel_operator.decide.world import Node
from sentinel_operator.render.access import BALANCER_ACCOUNT

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
    if kind != "system:serviceaccount" or account not in _ACCOUNTS or namespace not in namespaces:
        return f"{asker.username} is no agent and no balancer of a BufferCluster"
    claimed = tuple(asker.extra.get(NODE_NAME_CLAIM, ()))
    if claimed != (name,):
        whose = f"runs on node {claimed[0]}" if len(claimed) == 1 else "belongs to no node"
        return f"the token {whose}, so it gets no certificate for {name}"
    if not USAGES.issuperset(asker.usages):
        return f"a member of the mesh needs no more than {', '.join(sorted(USAGES))}"
    role = _ACCOUNTS[account]
    if not any(node.name == name and node.labels.get(ROLE_LABEL) == role for node in nodes):
        return f"node {name} has not the role {role}: label it {ROLE_LABEL}={role}"
    return ""
