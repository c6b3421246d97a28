"""The gate: each shortcoming alone is enough to refuse an export, and is named."""

import copy

import pytest

from sentinel_api.errors import Invalid
from sentinel_training import accept

GOOD = {
    "bytes": 90_000,
    "step_ms_p50": 0.1,
    "step_ms_p99": 0.3,
    "model": {
        "ap_1_10": 0.8,
        "ap_5_10": 0.7,
        "ece_1_10": 0.01,
        "ece_5_10": 0.02,
        "log_loss": 0.08,
        "magnitude_below_p90": 0.9,
        **{f"demand_loss_{horizon}": 0.3 for horizon in (30, 60, 120, 300)},
    },
    "learners": {
        "ap_1_10": 0.6,
        "ap_5_10": 0.5,
        "log_loss": 0.09,
        **{f"demand_loss_{horizon}": 0.3 for horizon in (30, 60, 120, 300)},
    },
    **{rule: {"ap_1_10": 0.5, "ap_5_10": 0.4} for rule in ("lightgbm", "persistence", "surge")},
}


def with_(**changes):
    found = copy.deepcopy(GOOD)
    for path, value in changes.items():
        who, _, key = path.rpartition("__")
        (found[who] if who else found)[key] = value
    return found


def test_a_model_better_than_its_rivals_is_accepted():
    accept.verdict(GOOD)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bytes": 6 << 20}, "bytes are more than"),
        ({"step_ms_p50": 0.5}, "takes 0.50 ms"),
        ({"step_ms_p99": 1.5}, "one step in a hundred takes 1.50 ms"),
        ({"model__magnitude_below_p90": 0.8}, "80 % of the bursts"),
        ({"model__ece_5_10": 0.06}, "calibration error in 5_10 is 0.060"),
        ({"learners__ap_1_10": 0.8}, "that of learners 0.800"),
        ({"lightgbm__ap_5_10": 0.71}, "that of lightgbm 0.710"),
        ({"persistence__ap_5_10": 0.9}, "that of persistence"),
        ({"model__log_loss": 0.09}, "log loss"),
        ({"model__demand_loss_60": 0.32}, "demand at 60 s"),
    ],
)
def test_each_shortcoming_is_enough_to_refuse(changes, why):
    with pytest.raises(Invalid, match=why):
        accept.verdict(with_(**changes))


def test_all_reasons_are_given_at_once():
    with pytest.raises(Invalid, match=r"bytes.*takes"):
        accept.verdict(with_(bytes=6 << 20, step_ms_p50=1.0))
