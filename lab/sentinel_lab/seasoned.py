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
from sentinel_agent import loop, node
from sentinel_agent.observe import Seen as Observed
from sentinel_core.sample import from_rows
from sentinel_lab.policies.foresight import Foretold, Slant, Truth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sentinel_core.forecast import Forecast
    from sentinel_core.sample import Sample

PAST, TRUTH, SLANT, START = "past.npy", "truth.json", "slant", "start"


def prepare(folder: Path, past: Iterable[Sample], truth: Truth | None = None, slant: Slant | None = None) -> None:
    """Written by who carries the experiment out, before the process starts."""
    rows = [sample.rows() for sample in past]
    np.save(folder / PAST, np.stack(rows) if rows else np.zeros((0, 0)))
    if truth is not None and slant is not None:
        (folder / TRUTH).write_text(truth.model_dump_json())
        (folder / SLANT).write_text(slant.value)


def begin(folder: Path, start_ns: int) -> None:
    whole = folder / (START + ".new")
    whole.write_text(str(start_ns))
    whole.rename(folder / START)  # at once, so that no half of it is read


class Seasoned(loop.Loop):
    """Forecasts on a clock that is zero at the start of the run, so that the past joins on without a gap."""

    folder: Path

    def __post_init__(self) -> None:
        if (self.folder / TRUTH).exists():
            truth = Truth.model_validate_json((self.folder / TRUTH).read_text())
            self.forecaster = Foretold(truth, Slant((self.folder / SLANT).read_text()))
        super().__post_init__()
        for rows in np.load(self.folder / PAST):
            super()._predict(Observed(from_rows(rows), self._rules.share_bps))

    def _predict(self, observed: Observed) -> Forecast:
        """Nothing is foretold before the run: the time in between belongs to neither."""
        sample, start_ns = observed.sample, self._start_ns()
        if start_ns is None or sample.t_ns <= start_ns:
            return self.fallback.predict(sample)
        moved = replace(observed, sample=replace(sample, t_ns=sample.t_ns - start_ns))
        return replace(super()._predict(moved), made_ns=sample.t_ns)

    def _start_ns(self) -> int | None:
        known = START_KNOWN.get(self.folder)
        if known is None and (self.folder / START).exists():
            known = START_KNOWN[self.folder] = int((self.folder / START).read_text())
        return known


START_KNOWN: dict[Path, int] = {}


def main() -> None:
    Seasoned.folder = Path(sys.argv.pop(1))
    replaced: Any = node
    replaced.Loop = Seasoned
    agent.main()


if __name__ == "__main__":
    main()
