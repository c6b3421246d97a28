"""What got lost on the way to a flow or a class: flows that were evicted, and packets that no class was told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .object import Object


class FlowSums:
    """Mapped counters beside the flow table; reading them costs no system call."""

    def __init__(self, agent: Object) -> None:
        self._sums: Final[NDArray[Any]] = agent.map("sn_flow_sums").view()
        self._unsaid: Final[NDArray[Any]] = agent.map("sn_unsaid").view()
        self._evicted = 0

    def entered(self) -> int:
        """Flows that were ever entered in the table."""
        return int(self._sums["entered"].sum())

    def refused(self) -> int:
        """Flows for which there was no place, not even by eviction."""
        return int(self._sums["refused"].sum())

    def unclassified(self) -> int:
        """IP packets that came to the queue without XDP's word of their class: they stand with the unmatched."""
        return int(self._unsaid["packets"].sum())

    def evicted(self, entered: int, entries: int) -> int:
        """Flows that went for newer ones, given how many had entered when `entries` began to be counted.

        The kernel tells nobody, so it is reckoned from two counts. It never shrinks: what enters while the table is
        walked would else be taken for what had never left.
        """
        self._evicted = max(self._evicted, entered - entries)
        return self._evicted
