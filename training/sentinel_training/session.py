"""A model file stepped over recorded inputs as the agent steps it: one step a call, one thread, the state carried."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from sentinel_core import signature
from sentinel_core.inputs import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Table = NDArray[np.float32]


class Session:
    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._onnx: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.widths = signature.check(self._onnx.get_inputs(), self._onnx.get_outputs())

    def start(self, series: int) -> Table:
        return np.zeros((series, self.widths.state), np.float32)

    def step(self, x: Table, valid: Table, state: Table) -> tuple[Table, Table, Table, Table]:
        """Hazard, magnitude, demand and the state after."""
        found = self._onnx.run(
            ["hazard", "magnitude_bytes", "demand", "next_state"], {"x": x, "valid": valid, "state": state}
        )
        return found[0], found[1], found[2], found[3]

    def step_ms(self, series: int, steps: int = 2_000) -> tuple[float, float]:
        """Median and p99 of one step, on inputs of no meaning, in the thread's own time: as on a core that is free."""
        random = np.random.default_rng(0)
        x = random.normal(0, 1, (series, len(COLUMNS))).astype(np.float32)
        valid, state = np.ones(series, np.float32), self.start(series)
        took = np.empty(steps)
        for step in range(steps):
            began = time.thread_time()
            *_, state = self.step(x, valid, state)
            took[step] = time.thread_time() - began
        middle, high = np.quantile(took[steps // 10 :] * 1e3, (0.5, 0.99))
        return float(middle), float(high)
