"""The model that is wanted, kept loaded: read and tried in a thread of its own, swapped between two ticks, and taken
back when the new one fails.

    wanted ──→ load ──→ offered ──→ proved (a minute without strikes)
                │          └──→ fails: the one before is offered again
                └──→ refused: the one before stays, and why is told
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_agent.predict.onnx import STRIKES, Cortex, Model, load
from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_api.v1alpha1.prediction import Prediction

PROVED_S: Final = 60.0
LOOK_S: Final = 1.0

log = structlog.get_logger()


class ModelKeeper:
    """`want` may be called from any thread. `trouble` says why the wanted model is not the one in use."""

    def __init__(self, read: Callable[[str, str | None], Model] = load, proved_s: float = PROVED_S) -> None:
        self._read = read
        self._proved_s = proved_s
        self._wanted: queue.SimpleQueue[Prediction | None] = queue.SimpleQueue()
        self._now: tuple[str, str | None] | None = None
        self._cortexes: list[Cortex] = []
        self._lock = threading.Lock()
        self._before: Model | None = None
        self._failures = 0
        self._on_trial_until_s = 0.0
        self.model: Model | None = None
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._wanted.put(None)

    def want(self, wanted: Prediction) -> None:
        self._wanted.put(wanted)

    def cortex(self) -> Cortex:
        """For one interface, with the model that is in use now."""
        with self._lock:
            made = Cortex(self.model)
            self._cortexes.append(made)
            return made

    def _run(self) -> None:
        while True:
            try:
                wanted = self._wanted.get(timeout=LOOK_S)
            except queue.Empty:
                self._judge()
                continue
            if wanted is None:
                return
            self._take(wanted)

    def _take(self, wanted: Prediction) -> None:
        name = wanted.ref, wanted.digest
        if name == self._now:
            return
        self._now = name
        try:
            model = self._read(wanted.ref, wanted.digest)
        except Invalid as error:
            self.trouble = str(error)
            log.warning("model_refused", error=self.trouble, stays=self.model.name if self.model else "none")
            return
        if self.model is not None and model.digest == self.model.digest:
            self.trouble = ""
            return
        log.info("model_offered", name=model.name, digest=model.digest)
        self._before, self.trouble = self.model, ""
        self._offer(model)
        self._failures = self._failed()
        self._on_trial_until_s = time.monotonic() + self._proved_s

    def _judge(self) -> None:
        """A model that strikes out on real samples in its first minute gives its place back."""
        if self._before is None or self.model is None:
            return
        if time.monotonic() >= self._on_trial_until_s:
            self._before = None
        elif self._failed() - self._failures >= STRIKES:
            self.trouble = f"{self.model.name} failed after it was taken, so {self._before.name} is back"
            log.warning("model_taken_back", why=self.trouble)
            back, self._before = self._before, None
            self._offer(back)

    def _offer(self, model: Model) -> None:
        with self._lock:
            self.model = model
            for each in self._cortexes:
                each.offer(model)

    def _failed(self) -> int:
        with self._lock:
            return sum(each.failures for each in self._cortexes)
