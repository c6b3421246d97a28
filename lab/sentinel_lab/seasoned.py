"""The agent's own process with a past, and if asked with another predictor: nothing else of it is replaced.

    python -m sentinel_lab.seasoned FOLDER --config agent.yaml

In FOLDER lie `past.npy` (samples, times counted from the start of the run), for predictors that are told the future
`truth.json` and `slant`, and from the start on `start`, the instant on the kernel's monotonic clock.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel_agent import __main__ as agent
from sentinel_agent import lane, rooms
from sentinel_agent.observe import Seen as Observed
from sentinel_core.sample import from_rows
from sentinel_lab.policies.foresight import Foretold, Slant, Truth
from sentinel_lab.seasoning import PAST, SEASONED, SLANT, START, TRUTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sentinel_api.v1alpha1.nodeconfig import NodeConfig
    from sentinel_core.forecast import Forecast


class Seasoned(lane.Lane):
    """Forecasts on a clock that is zero at the start of the run, so that the past joins on without a gap."""

    folder: Path
    _start_ns: int | None = None
    _remembers: bool = False

    def settle(self, config: NodeConfig, names: Mapping[int, str], share_bps: NDArray[np.float64]) -> None:
        super().settle(config, names, share_bps)
        if self._remembers:
            return
        self._remembers = True
        if (self.folder / TRUTH).exists():
            truth = Truth.model_validate_json((self.folder / TRUTH).read_text())
            told = Foretold(truth, Slant((self.folder / SLANT).read_text()))
            self.brains = replace(self.brains, forecaster=told)
        for rows in np.load(self.folder / PAST):
            super().predict(Observed(from_rows(rows), share_bps, share_bps))
        (self.folder / SEASONED).touch()

    def predict(self, seen: Observed) -> Forecast:
        """Nothing is foretold before the run: the time in between belongs to neither."""
        if self._start_ns is None and (self.folder / START).exists():
            self._start_ns = int((self.folder / START).read_text())
        if self._start_ns is None or seen.sample.t_ns <= self._start_ns:
            return self.brains.fallback.predict(seen.sample)
        moved = replace(seen, sample=replace(seen.sample, t_ns=seen.sample.t_ns - self._start_ns))
        return replace(super().predict(moved), made_ns=seen.sample.t_ns)


def main() -> None:
    Seasoned.folder = Path(sys.argv.pop(1))
    replaced: Any = rooms
    replaced.Lane = Seasoned
    agent.main()


if __name__ == "__main__":
    main()
