"""The wanted model is kept loaded: swapped by digest, refused with a sentence, taken back when it fails."""

import threading

import numpy as np
import pytest

from sentinel_agent.predict.keeper import ModelKeeper
from sentinel_agent.predict.onnx import STRIKES
from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.prediction import Prediction
from sentinel_core.sample import ALL_VALID, PERIOD_NS, Sample
from support.sessions import model

PATIENCE_S = 30
DIGEST = "sha256:" + "0" * 64
KNOWN = {"/m/good.onnx": model("good"), "/m/better.onnx": model("better"), "/m/nan.onnx": model("nan", float("nan"))}


def read(ref, _digest):
    if ref not in KNOWN:
        raise Invalid(f"the model {ref} cannot be read (No such file or directory): name a file that is there")
    return KNOWN[ref]


def wanted(ref):
    return Prediction(ref=ref, digest=DIGEST)


@pytest.fixture
def keeper():
    made = ModelKeeper(read)
    made.start()
    yield made
    made.stop()


def until(true):
    waited = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if true():
            return
        waited.wait(0.01)
    raise AssertionError("waited in vain")


def sample(step):
    whole = {name: np.full(CLASSES, 100, np.uint64) for name in ("bytes", "packets", "new_flows", "syns", "drops")}
    gauges = {name: np.zeros(CLASSES, np.uint64) for name in ("backlog_bytes", "limit_bytes")}
    times = {f"sojourn_us_{name}": np.zeros(CLASSES, np.uint32) for name in ("p50", "p95", "p99")}
    valid = np.full(CLASSES, ALL_VALID, np.uint8)
    return Sample(t_ns=(step + 1) * PERIOD_NS, period_ns=PERIOD_NS, valid=valid, **whole, **gauges, **times)


def test_a_model_is_swapped_by_what_is_wanted_and_every_interface_gets_it(keeper):
    before = keeper.cortex()
    keeper.want(wanted("/m/good.onnx"))
    until(lambda: keeper.model is KNOWN["/m/good.onnx"])
    after = keeper.cortex()
    keeper.want(wanted("/m/better.onnx"))
    until(lambda: keeper.model is KNOWN["/m/better.onnx"])
    assert keeper.trouble == ""
    for each in (before, after):
        each.predict(sample(0))
        assert each.fault in ("", "the model is warming up")
        each.close()


def test_a_model_that_cannot_be_read_leaves_the_one_before_in_use_and_says_why(keeper):
    keeper.want(wanted("/m/good.onnx"))
    until(lambda: keeper.model is not None)
    keeper.want(wanted("/m/gone.onnx"))
    until(lambda: keeper.trouble)
    assert keeper.model is KNOWN["/m/good.onnx"]
    assert "name a file that is there" in keeper.trouble
    keeper.want(wanted("/m/good.onnx"))
    until(lambda: not keeper.trouble)


def test_a_new_model_that_fails_on_real_samples_gives_its_place_back(keeper):
    cortex = keeper.cortex()
    keeper.want(wanted("/m/good.onnx"))
    until(lambda: keeper.model is not None)
    cortex.predict(sample(0))
    keeper.want(wanted("/m/nan.onnx"))
    until(lambda: keeper.model is KNOWN["/m/nan.onnx"])
    for step in range(1, STRIKES + 2):
        assert cortex.predict(sample(step)).source == "schedule", "a forecast leaves all the same"
    until(lambda: keeper.model is KNOWN["/m/good.onnx"])
    assert keeper.trouble == "nan failed after it was taken, so good is back"
    cortex.close()
