"""Which nodes with a pod of a Service are sent its flows: one that is new to it waits until its rules know the pod.

A pod that is ready is told to the balancers and to its node's kube-proxy at once, and balancers are the faster ones. A
node whose rules know of no pod drops what must stay local, so clients would wait for nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

SETTLE = timedelta(seconds=5)  # kube-proxy gathers changes for a second, and is slower where Services are many

Nodes = frozenset[str]


@dataclass(slots=True)
class Newcomers:
    """`since`: when each was first seen, by Service and node, until balancers are told of it."""

    since: Mapping[tuple[str, str], datetime] = field(default_factory=dict)

    def admitted(
        self, ready: Mapping[str, Nodes], before: Mapping[str, Nodes], ours: Nodes, now: datetime
    ) -> dict[str, Nodes]:
        """`before`: whom the balancers send each Service's flows to. Where none of them is left that is one of `ours`,
        all that are ready are let in: a node that may drop flows is better than none."""
        new = {(service, node) for service, nodes in ready.items() for node in nodes - before.get(service, Nodes())}
        self.since = {each: self.since.get(each, now) for each in new}
        return {
            service: nodes
            if (nodes & ours).isdisjoint(before.get(service, Nodes()))
            else Nodes(node for node in nodes if self._settled(service, node, now))
            for service, nodes in ready.items()
        }

    def _settled(self, service: str, node: str, now: datetime) -> bool:
        return now - self.since.get((service, node), now - SETTLE) >= SETTLE

    def next_in_s(self, now: datetime) -> float | None:
        """When the first of those that wait is let in; None while nobody does."""
        waits = [first + SETTLE - now for first in self.since.values() if now - first < SETTLE]
        return min(waits).total_seconds() if waits else None
