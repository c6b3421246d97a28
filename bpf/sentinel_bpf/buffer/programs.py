"""The kernel programs of tier B: who belongs where, and how long packets stood in the queue."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from sentinel_bpf import attach, layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sentinel_bpf.buffer.port import Reading
    from sentinel_bpf.object import Object

PROGRAMS: Final = frozenset({"sn_classify", "sn_dequeued", "sn_place"})


class QueuePrograms:
    """Needs a loaded agent object with PROGRAMS and sn_sojourn sharded by CPU; measures as long as it is open."""

    def __init__(self, agent: Object) -> None:
        self._place = agent.map("sn_queue_place")
        handles = layout.constants(agent.path, "sn_queue_const")
        self.major: Final[int] = handles["SN_QUEUE_MAJOR"]
        self.minor: Final[int] = handles["SN_QUEUE_MINOR"]
        self._classes = layout.constants(agent.path, "sn_const")["SN_CLASSES"]
        self._sojourn: NDArray[Any] = agent.map("sn_sojourn").view()
        self.classify_fd: Final = agent.program("sn_classify").descriptor
        self.place_fd: Final = agent.program("sn_place").descriptor
        self._told: NDArray[Any] = agent.map("sn_backlog").view(writable=True)
        self._link = attach.trace(agent.program("sn_dequeued"))

    def watch(self, ifindex: int, netns: int) -> None:
        """Measure the queue of this device, and let leaving packets find their class in it; `netns` is the inode of its
        network namespace."""
        self._place.put(0, ifindex=ifindex, netns=netns)

    def unwatch(self) -> None:
        """No queue of ours is there any more, so no packet may be led into one."""
        self._place.put(0, ifindex=0, netns=0)
        self._told[...] = 0

    def tell(self, readings: Mapping[int, Reading]) -> None:
        """How full the queue is, for the program on the way out: it marks by that."""
        for each, reading in readings.items():
            for name in ("backlog_bytes", "backlog_packets", "limit_bytes", "sent_bytes", "sent_packets", "drops"):
                self._told[name][each] = getattr(reading, name)

    def sojourn(self) -> list[tuple[int, ...]]:
        """Histogram of each class, summed over the CPUs; only ever grows."""
        cells = self._sojourn["bucket"].reshape(-1, self._classes, self._sojourn["bucket"].shape[-1])
        return [tuple(each) for each in cells.sum(axis=0).tolist()]

    def close(self) -> None:
        os.close(self._link)
