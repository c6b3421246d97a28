"""What a tick's orders wait for, and what is done once they are out."""

from types import SimpleNamespace

import numpy as np
import pytest

from sentinel_agent import lane as lanes
from sentinel_agent.lane import Brains, Lane
from sentinel_agent.predict.port import PredictionFailed
from sentinel_agent.predict.smoothing import Smoothing
from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_core.forecast import nothing_expected
from support.samples import sample

CONFIG = NodeConfig.parse({"trafficClasses": [{"name": "web", "match": [{"port": 80}]}]})


class Forecaster:
    """Tells in which order it was asked, and whether it then pondered."""

    name = "told"

    def __init__(self):
        self.calls = []
        self.fails = False
        self.began = np.zeros(CLASSES, bool)

    def predict(self, sample):
        self.calls.append("predict")
        if self.fails:
            raise PredictionFailed("on purpose")
        return nothing_expected(sample.t_ns, np.zeros(CLASSES), self.name)

    def ponder(self):
        self.calls.append("ponder")


@pytest.fixture
def lane(monkeypatch):
    for needs_a_kernel in ("FlowSums", "FlowWatch", "OrderTable", "Observer"):
        monkeypatch.setattr(lanes, needs_a_kernel, lambda *_: None)
    plane = SimpleNamespace(
        loaded=SimpleNamespace(map=lambda _: None), place=SimpleNamespace(interface=SimpleNamespace(name="e0"))
    )
    made = Lane(plane, Brains(Forecaster(), Smoothing()), first_row=0)
    made.settle(CONFIG, {1: "web"}, np.zeros(CLASSES))
    return made


def told(lane, step):
    return lane.predict(SimpleNamespace(sample=sample(step)))


def judged(lane):
    """How many answers have been scored or wait for what comes."""
    return lane.brains.score._steps


def test_nobody_learns_before_the_orders_are_out(lane):
    told(lane, 1)
    assert (lane.brains.forecaster.calls, judged(lane)) == (["predict"], 0)
    lane.learn()
    assert (lane.brains.forecaster.calls, judged(lane)) == (["predict", "ponder"], 1)
    lane.learn()
    assert judged(lane) == 1


def test_a_tick_that_failed_before_it_learned_learns_in_the_next(lane):
    told(lane, 1)
    told(lane, 2)
    assert (lane.brains.forecaster.calls, judged(lane)) == (["predict", "ponder", "predict"], 1)


def test_the_fallback_knows_every_sample_when_it_is_asked(lane):
    steady = Smoothing()
    for step in range(1, 60):
        steady.see(sample(step, packets=step))
        lane.brains.forecaster.fails = step % 7 == 0
        answer = lane.predict(SimpleNamespace(sample=sample(step, packets=step)))
        if lane.brains.forecaster.fails:
            assert answer.source == "smoothing"
            assert answer.demand == pytest.approx(steady.said(sample(step)).demand)
        lane.learn()
    assert judged(lane) == 59
