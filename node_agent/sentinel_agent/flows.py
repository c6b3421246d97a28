"""What the flows themselves ask for: Σ BDP / √flows of each class, from the flow table.

Read by a thread of its own, a bounded number of entries a second, so that a table of a million flows costs the node no
more than one of a thousand; a pass through a large table just takes longer, and the floors of the last whole pass hold.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog

from sentinel_api.records import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sentinel_bpf.flows import FlowSums
    from sentinel_bpf.maps import Map

    Ints = NDArray[np.int64]

ENTRIES_A_SECOND: Final = 16_384
BATCH: Final = 4_096
"""Read in one go, evenly over the second: a tick that falls on it waits for the interpreter."""
IDLE_NS: Final = 10_000_000_000
"""A flow that sent nothing for so long fills no link."""

TELLING: Final = 100
"""A packet or two may pass while a program is being replaced."""

log = structlog.get_logger()


class Tally:
    """One pass through the table: what was found so far."""

    def __init__(self) -> None:
        self.flows = 0
        self._bdp_bytes = np.zeros(CLASSES)
        self._with_bdp = np.zeros(CLASSES)

    def add(self, flows: NDArray[Any], now_ns: int) -> None:
        self.flows += len(flows)
        live = (flows["bdp_bytes"] > 0) & (flows["last_ns"].astype(np.int64) > now_ns - IDLE_NS)
        classes = flows["class_id"][live] % CLASSES
        self._bdp_bytes += np.bincount(classes, flows["bdp_bytes"][live].astype(np.float64), CLASSES)
        self._with_bdp += np.bincount(classes, minlength=CLASSES)

    def floors(self) -> Ints:
        """Flows out of step need less than the sum of what each alone would: by the root of their number."""
        return np.ceil(self._bdp_bytes / np.sqrt(np.maximum(self._with_bdp, 1.0))).astype(np.int64)


class FlowWatch:
    """`floor_bytes` and `flows` are replaced whole, so the tick reads them without waiting."""

    def __init__(self, table: Map, sums: FlowSums) -> None:
        self._table = table
        self._sums = sums
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flows", daemon=True)
        self.floor_bytes: Ints = np.zeros(CLASSES, np.int64)
        self.flows = 0
        self.evicted = 0
        self.unclassified = 0
        self._warned = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Before the table's descriptor is closed."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(1.0):
            try:
                self._pass()
            except OSError as error:
                log.warning("flow_table_unreadable", error=str(error))

    def _pass(self) -> None:
        tally, entered = Tally(), self._sums.entered()
        for flows in self._paced():
            tally.add(flows, time.monotonic_ns())
        if not self._stopped.is_set():  # else the pass may have ended early, and what it did not see is there still
            self.evicted = self._sums.evicted(entered, tally.flows)
        self.flows, self.floor_bytes = tally.flows, tally.floors()
        self._tell_unclassified(self._sums.unclassified())

    def _tell_unclassified(self, now: int) -> None:
        """Once: a driver that leaves no room for metadata refuses it for every packet, so a hundred say it all."""
        self.unclassified = now
        if now >= TELLING and not self._warned:
            self._warned = True
            log.warning(
                "classes_unknown_to_the_queue", packets=now,
                why="XDP could not hand classes on: the driver takes no metadata, so traffic queues as unmatched",
            )  # fmt: skip

    def _paced(self) -> Iterator[NDArray[Any]]:
        """Batches until the table ends, at most `ENTRIES_A_SECOND`; none more once told to stop."""
        for _, flows in self._table.batches(BATCH):
            yield flows
            if self._stopped.wait(BATCH / ENTRIES_A_SECOND):
                return
