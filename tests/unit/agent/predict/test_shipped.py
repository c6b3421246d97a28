"""The model that ships: what the agent loads where nobody asked for another one."""

import hashlib
import json
import time

import numpy as np
import pytest

from sentinel_agent.predict import onnx
from sentinel_agent.predict.keeper import ModelKeeper
from sentinel_api.v1alpha1.prediction import Prediction
from sentinel_core import inputs
from support.samples import sample as measured

pytestmark = pytest.mark.timeout(300)

CARD = onnx.file_of(Prediction().ref).with_suffix(".json")
FOREVER_S = 60.0


def sample(step):
    """Bursts of a second every twenty."""
    return measured(step, packets=1_000 if step % 200 in range(100, 110) else 100)


def test_its_card_names_the_file_and_the_inputs_of_this_agent():
    card, raw = json.loads(CARD.read_text()), CARD.with_suffix(".onnx").read_bytes()
    assert card["digest"] == hashlib.sha256(raw).hexdigest()
    assert card["inputs_digest"] == inputs.DIGEST
    assert len(raw) <= onnx.MOST_BYTES
    assert card["digest"] in CARD.with_suffix(".md").read_text()


def test_it_was_accepted():
    """By the same gate that judges every export: better than each simpler rule, calibrated, within its budget."""
    test = json.loads(CARD.read_text())["test"]
    for window in ("1_10", "5_10"):
        rivals = {who: test[who][f"ap_{window}"] for who in ("learners", "lightgbm", "persistence", "surge")}
        assert test["model"][f"ap_{window}"] > max(rivals.values()), rivals
        assert test["model"][f"ece_{window}"] <= 0.05
    assert test["step_ms_p50"] <= 0.2
    assert test["step_ms_p99"] <= 1.0


def test_an_agent_that_was_told_nothing_forecasts_with_it(monkeypatch):
    monkeypatch.setattr(onnx, "DEADLINE_S", FOREVER_S)
    keeper = ModelKeeper()
    keeper.start()
    try:
        keeper.want(Prediction())
        until = time.monotonic() + FOREVER_S
        while keeper.model is None and not keeper.trouble and time.monotonic() < until:
            time.sleep(0.02)
        assert (keeper.trouble, keeper.model.name) == ("", "default")
        cortex = keeper.cortex()
        try:
            spoke = [cortex.predict(sample(step)) for step in range(onnx.WARM_UP_TICKS * 3)]
        finally:
            cortex.close()
    finally:
        keeper.stop()
    assert [each.source for each in spoke] == ["schedule"] * onnx.WARM_UP_TICKS + ["default"] * 2 * onnx.WARM_UP_TICKS
    assert all(np.isfinite(each.hazard).all() and np.isfinite(each.demand).all() for each in spoke)
