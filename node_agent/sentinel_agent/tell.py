"""The agent's status to the API server, from a thread of its own: the latest value wins, the tick never waits."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_api.errors import Invalid, Transient
from sentinel_api.names import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_agent.kube import Api
    from sentinel_api.v1alpha1.buffernode import BufferNodeStatus

FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 60.0
HEARTBEAT_REPORTS: Final = 3

log = structlog.get_logger()


class Teller:
    """Writes on change, at most every `report_seconds`, and every third time in any case."""

    def __init__(self, api: Api, node: str, compose: Callable[[], BufferNodeStatus | None]) -> None:
        self._path = f"/apis/{API_VERSION}/buffernodes/{node}/status"
        self._api = api
        self._compose = compose
        self.report_seconds = 10
        self._stopped = threading.Event()
        self._hurry = threading.Event()
        self._told: BufferNodeStatus | None = None
        self._thread = threading.Thread(target=self._run, name="tell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Something changed that somebody waits for: tell it now, once."""
        self._hurry.set()

    def stop(self, patience_s: float = 5.0) -> None:
        """Tells the last word, if the API server lets it."""
        self._stopped.set()
        self._hurry.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        quiet = 0
        wait_s = FIRST_RETRY_S
        while True:
            stopping = self._stopped.is_set()
            status = self._compose()
            try:
                if status is not None and (quiet + 1 >= HEARTBEAT_REPORTS or _news(self._told, status)):
                    self._write(status)
                    quiet, self._told = 0, status
                else:
                    quiet += 1
                wait_s, pause_s = FIRST_RETRY_S, float(self.report_seconds)
            except (Transient, Invalid) as error:
                log.warning("status_not_written", error=str(error), again_s=wait_s)
                wait_s, pause_s = min(LAST_RETRY_S, wait_s * 2), wait_s
            if stopping:
                return
            self._hurry.wait(pause_s * random.uniform(0.9, 1.1))  # noqa: S311  jitter, no secret
            self._hurry.clear()

    def _write(self, status: BufferNodeStatus) -> None:
        """Whole, so that fields which went away are gone: null takes the place of what is not there."""
        body = status.wire()
        for name in self._told.wire() if self._told else {}:
            body.setdefault(name, None)
        if self._api.merge_patch(self._path, {"status": body}) is None:
            log.info("buffer_node_gone", path=self._path)


def _news(told: BufferNodeStatus | None, status: BufferNodeStatus) -> bool:
    """Whether anything changed but the numbers that always do."""
    if told is None:
        return True
    same = {"forecast": None, "buffer": None}
    return told.model_copy(update=same) != status.model_copy(update=same) or _demand_moved(told, status)


def _demand_moved(told: BufferNodeStatus, status: BufferNodeStatus) -> bool:
    """By a tenth, up or down: less is no news for somebody who scales nodes."""
    if told.forecast is None or status.forecast is None:
        return told.forecast is not status.forecast
    before = [point.p95 for point in told.forecast.points]
    after = [point.p95 for point in status.forecast.points]
    return len(before) != len(after) or any(abs(a - b) * 10 > max(a, b) for a, b in zip(before, after, strict=True))
