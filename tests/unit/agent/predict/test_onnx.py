"""The runtime of models: whatever is wrong with one, a forecast leaves in time, and says whose it is."""

import hashlib
import json
import threading
import time

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from sentinel_agent.predict import onnx
from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES
from sentinel_core import inputs
from support.samples import sample

pytestmark = pytest.mark.timeout(300)  # thousands of steps: seconds of work, and far more where cores are shared

STATE = 4
COLUMNS = len(inputs.COLUMNS)
FOREVER_S = 30.0
AFTER = onnx.WARM_UP_TICKS + 1
"""The first step after `warm`."""


def written(folder, name="m", columns=COLUMNS, digest=inputs.DIGEST, hazard=0.25, padding=0):
    """A model that always says the same, and counts its steps in its state."""
    value = helper.make_tensor_value_info
    constants = {
        "hazards": np.full((1, 10), hazard, np.float32),
        "sizes": np.array([[1e3, 2e3, 3e3]], np.float32),
        "rates": np.full((1, 4, 3), 7e5, np.float32),
        "one": np.ones(1, np.float32),
        "none": np.zeros(1, np.float32),
        "last": np.array([1], np.int64),
        "lasts": np.array([1, 2], np.int64),
        "padding": np.zeros(padding, np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["valid", "none"], ["zero"]),
        helper.make_node("Unsqueeze", ["zero", "last"], ["column"]),
        helper.make_node("Unsqueeze", ["zero", "lasts"], ["block"]),
        helper.make_node("Add", ["column", "hazards"], ["hazard"]),
        helper.make_node("Add", ["column", "sizes"], ["magnitude_bytes"]),
        helper.make_node("Add", ["block", "rates"], ["demand"]),
        helper.make_node("Add", ["state", "one"], ["next_state"]),
    ]
    shapes = {"x": ["C", columns], "valid": ["C"], "state": ["C", STATE]}
    answers = {"hazard": ["C", 10], "magnitude_bytes": ["C", 3], "demand": ["C", 4, 3], "next_state": ["C", STATE]}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            name,
            [value(port, TensorProto.FLOAT, shape) for port, shape in shapes.items()],
            [value(port, TensorProto.FLOAT, shape) for port, shape in answers.items()],
            [numpy_helper.from_array(array, key) for key, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    helper.set_model_props(model, {onnx.DIGEST_KEY: digest})
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return path


class Told:
    """In place of a session: does as it is told, which no file of a model can."""

    def __init__(self, session):
        self.session, self.spoil, self.free = session, None, threading.Event()
        self.free.set()

    def run(self, names, fed):
        self.free.wait()
        answer = dict(zip(names, self.session.run(names, fed), strict=True))
        if self.spoil:
            answer[self.spoil] = np.full_like(answer[self.spoil], np.nan)
        return list(answer.values())


@pytest.fixture
def patient(monkeypatch):
    """So that a loaded machine is never late by itself."""
    monkeypatch.setattr(onnx, "DEADLINE_S", FOREVER_S)


@pytest.fixture
def told(tmp_path, patient):
    model = onnx.load(str(written(tmp_path)))
    return onnx.Model(model.name, model.digest, model.state, Told(model.session))


@pytest.fixture
def cortex(told):
    made = onnx.Cortex(told)
    yield made
    told.session.free.set()
    made.close()


def warm(cortex, first=0):
    for step in range(first, first + onnx.WARM_UP_TICKS + 1):
        said = cortex.predict(sample(step))
    return said


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b"no protobuf at all"), "no model that can be run"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "no model that can be run|must have"),
        (lambda path: written(path.parent, columns=5), "feature|trained on inputs"),
        (lambda path: written(path.parent, digest="0" * 64), "trained on inputs 000000000000"),
        (lambda path: written(path.parent, hazard=np.nan), "not finite"),
        (lambda path: written(path.parent, padding=2_000_000), "larger than 5 MiB"),
    ],
    ids=["missing", "corrupt", "cut off", "narrow", "other inputs", "nan", "large"],
)
def test_a_model_that_cannot_serve_is_refused_with_a_sentence(tmp_path, patient, spoil, why):
    path = written(tmp_path)
    spoil(path)
    with pytest.raises(Invalid, match=why):
        onnx.load(str(path))


def test_a_model_slower_than_the_deadline_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "DEADLINE_S", 0.0)
    with pytest.raises(Invalid, match="deadline"):
        onnx.load(str(written(tmp_path)))


def test_the_digest_of_the_file_is_held_to(tmp_path, patient):
    path = written(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert onnx.load(str(path), f"sha256:{digest}").digest == digest
    with pytest.raises(Invalid, match="has digest"):
        onnx.load(str(path), "sha256:" + "1" * 64)


def test_a_builtin_model_is_held_to_its_card(tmp_path, patient, monkeypatch):
    monkeypatch.setattr(onnx, "MODELS", tmp_path)
    path = written(tmp_path, "one")
    with pytest.raises(Invalid, match="no card"):
        onnx.load("builtin:one")
    path.with_suffix(".json").write_text(json.dumps({"digest": hashlib.sha256(path.read_bytes()).hexdigest()}))
    assert onnx.load("builtin:one").name == "one"
    path.with_suffix(".json").write_text(json.dumps({"digest": "2" * 64}))
    with pytest.raises(Invalid, match="has digest"):
        onnx.load("builtin:one")


def test_after_warming_up_the_model_speaks_for_all_classes(cortex):
    first = cortex.predict(sample(0))
    assert first.source == "schedule"
    assert "warming up" in cortex.fault
    said = warm(cortex, 1)
    assert (said.source, cortex.fault, cortex.failures) == ("m", "", 0)
    assert said.magnitude_bytes == pytest.approx(np.tile([1e3, 2e3, 3e3], (CLASSES, 1)))
    # Of the others it is believed once it was right for minutes; the learners have been so far.
    assert said.hazard.max() < 0.01
    assert said.demand == pytest.approx(np.full((CLASSES, 4, 3), 1e6))


def test_its_state_is_carried_and_reset_by_a_gap(cortex):
    warm(cortex)
    assert cortex._state[0, 0] == onnx.WARM_UP_TICKS  # the answer to the last one is not there yet
    cortex.predict(sample(AFTER + 3_000))
    assert cortex._state[0, 0] == 0
    cortex.predict(sample(AFTER + 3_001))
    assert cortex._state[0, 0] == 1
    assert "warming up" in cortex.fault


def test_what_it_said_before_is_moved_to_the_present_and_knows_what_is_impossible_by_now():
    hazard = np.array([[0.0, 0.8, *[0.0] * 8], [0.0, 0.8, *[0.0] * 8]])
    own = np.array([[0.1] * 10, [0.0] * 10])
    assert onnx._by_now(hazard, own, 0.25)[0, :3] == pytest.approx([0.2, 0.6, 0.0])
    assert not onnx._by_now(hazard, own, 0.25)[1].any()


def test_the_model_is_asked_once_the_orders_are_out(cortex, told):
    warm(cortex)
    told.session.free.clear()
    cortex.ponder()  # it thinks from here on, and nobody waits
    told.session.free.set()
    said = cortex.predict(sample(AFTER))
    assert (said.source, said.made_ns) == ("m", sample(AFTER).t_ns)


@pytest.mark.parametrize("spoil", ["hazard", "magnitude_bytes", "demand", "next_state"])
def test_numbers_that_are_not_finite_never_leave(cortex, told, spoil):
    warm(cortex)
    told.session.spoil = spoil
    said = cortex.predict(sample(AFTER))
    assert said.source == "schedule"
    assert np.isfinite(said.hazard).all()
    assert "finite" in cortex.fault
    assert cortex.failures == 1
    told.session.spoil = None
    assert warm(cortex, AFTER + 1).source == "m"
    assert np.isfinite(cortex._state).all()


def test_a_late_answer_is_not_waited_for_and_the_model_comes_back(cortex, told, monkeypatch):
    warm(cortex)
    told.session.free.clear()
    monkeypatch.setattr(onnx, "DEADLINE_S", 0.001)
    assert cortex.predict(sample(AFTER)).source == "schedule"
    assert "longer than" in cortex.fault
    told.session.free.set()
    monkeypatch.setattr(onnx, "DEADLINE_S", FOREVER_S)
    assert cortex.predict(sample(AFTER + 1)).source == "schedule"
    assert "late" in cortex.fault
    assert warm(cortex, AFTER + 2).source == "m"


def test_a_model_that_never_answers_again_is_told_of_after_its_rest_too(cortex, told, monkeypatch):
    warm(cortex)
    told.session.free.clear()
    monkeypatch.setattr(onnx, "DEADLINE_S", 0.0)
    monkeypatch.setattr(onnx, "REST_TICKS", 20)
    for step in range(onnx.STRIKES + 25):
        said = cortex.predict(sample(AFTER + step))
    assert said.source == "schedule"
    assert "longer than" in cortex.fault
    assert cortex.failures > onnx.STRIKES


def test_a_model_that_keeps_failing_is_left_alone_for_a_while(cortex, told):
    warm(cortex)
    told.session.spoil = "hazard"
    for step in range(onnx.STRIKES + 5):
        cortex.predict(sample(AFTER + step))
    assert cortex.failures == onnx.STRIKES
    assert cortex.fault


def test_a_new_model_is_adopted_between_ticks_and_the_learners_keep_what_they_know(cortex, told, tmp_path):
    warm(cortex)
    senses = cortex._schedule.senses
    fresh = onnx.load(str(written(tmp_path, "fresh", hazard=0.5)))
    offering = threading.Thread(target=cortex.offer, args=(fresh,))
    offering.start()
    sources = []
    deadline = time.monotonic() + FOREVER_S
    step = AFTER
    while cortex._model is not fresh and time.monotonic() < deadline:
        sources.append(cortex.predict(sample(step)).source)
        step += 1
    offering.join()
    assert set(sources) <= {"m", "schedule"}
    assert warm(cortex, step).source == "fresh"
    assert cortex._schedule.senses is senses
    cortex.offer(None)
    assert cortex.predict(sample(1_000)).source == "schedule"
    assert cortex.fault == "no model is loaded"
