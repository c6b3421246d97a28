"""Without extrapolation demand stays what it is, and nothing is foretold."""

import numpy as np

from sentinel_agent.predict.present import Present
from support.ticks import tick


def test_demand_stays_as_it_is_and_no_burst_is_foretold():
    sample = tick().lanes[0].observed.sample
    found = Present().predict(sample)
    assert found.source == "present"
    assert not found.hazard.any()
    assert (found.demand == sample.per_second("bytes")[:, None, None]).all()
    assert np.isfinite(found.demand).all()
