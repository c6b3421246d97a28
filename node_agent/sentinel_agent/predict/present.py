"""The fallback for who wants none: demand stays as it is, and no burst is foretold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel_core.forecast import Forecast, nothing_expected

if TYPE_CHECKING:
    from sentinel_core.sample import Sample


class Present:
    name = "present"

    def predict(self, sample: Sample) -> Forecast:
        return self.said(sample)

    def see(self, sample: Sample) -> None:
        """Nothing is remembered."""

    def said(self, sample: Sample) -> Forecast:
        return nothing_expected(sample.t_ns, sample.per_second("bytes"), self.name)
