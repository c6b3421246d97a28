"""Exports against the networks they came from; needs the extra `training`."""

from importlib.util import find_spec

import numpy as np
import pytest

from sentinel_core import inputs
from sentinel_core.inputs import COLUMNS, DEMANDS, FLOORS, HAZARDS, IMPOSSIBLE
from sentinel_training.lessons import Lessons
from sentinel_training.session import Session

if TORCH := find_spec("torch") is not None:
    import torch

    from sentinel_training import export, finish, network, train

pytestmark = pytest.mark.skipif(not TORCH, reason="PyTorch is only in the extra `training`")

STEPS, SERIES = 90, 3


def lessons():
    random = np.random.default_rng(1)
    x = random.normal(0, 1, (STEPS, SERIES, len(COLUMNS))).astype(np.float32)
    x[:, 0, HAZARDS] = IMPOSSIBLE
    empty = np.full((STEPS, SERIES), np.nan, np.float32)
    valid = (random.random((STEPS, SERIES)) < 0.9).astype(np.float32)
    until = random.exponential(30, (STEPS, SERIES)).astype(np.float32)
    return Lessons(("a",) * SERIES, 0.1, x, valid, until, empty, np.repeat(empty[:, :, None], 4, axis=2))


def changed(trunk):
    torch.manual_seed(2)
    net = network.fresh(trunk)
    torch.nn.init.normal_(net.head.weight, std=0.1)
    return net


def stepped(session, part):
    state, found = session.start(SERIES), []
    for step in range(STEPS):
        hazard, _, demand, state = session.step(part.x[step], part.valid[step], state)
        found.append((hazard, demand))
    return [np.array(each) for each in zip(*found, strict=True)]


@pytest.mark.parametrize("trunk", ["lstm", "tcn"])
def test_an_export_says_step_by_step_what_the_network_says_at_once(tmp_path, trunk):
    net, part = changed(trunk), lessons()
    export.write(net, export.Finish(slope=0.9, shift=-0.1), tmp_path / "m.onnx")
    hazard, demand = stepped(Session(tmp_path / "m.onnx"), part)
    logits, _, rates = train.answers(net, part, chunk=40)
    assert hazard[:, 1:] == pytest.approx(1 / (1 + np.exp(-(0.9 * logits[:, 1:] - 0.1))), abs=1e-5)
    assert not hazard[:, 0].any()  # what the rule of an onset forbids stays impossible
    expected = np.exp(rates + part.x[:, :, -1:]) - FLOORS[0]
    assert demand.reshape(expected.shape) == pytest.approx(np.maximum(expected, 0.0), rel=1e-4, abs=0.1)


def test_a_network_that_learned_nothing_says_what_the_learners_say(tmp_path):
    part = lessons()
    export.write(network.fresh("tcn"), export.Finish(), tmp_path / "m.onnx")
    hazard, _ = stepped(Session(tmp_path / "m.onnx"), part)
    assert hazard[:, 1:] == pytest.approx(1 / (1 + np.exp(-part.x[:, 1:, HAZARDS])), abs=1e-5)


def test_a_head_that_was_not_kept_passes_the_learners_answer_through(tmp_path):
    part = lessons()
    export.write(changed("tcn"), export.Finish(kept=(False, True, False)), tmp_path / "m.onnx")
    hazard, demand = stepped(Session(tmp_path / "m.onnx"), part)
    assert hazard[:, 1:] == pytest.approx(1 / (1 + np.exp(-part.x[:, 1:, HAZARDS])), abs=1e-5)
    expected = np.maximum(np.exp(part.x[:, :, DEMANDS] + part.x[:, :, -1:]) - FLOORS[0], 0.0)
    assert demand.reshape(expected.shape) == pytest.approx(expected, rel=1e-4, abs=0.1)


def test_sizes_are_shifted_until_as_many_are_below_them_as_they_say(tmp_path):
    part = lessons()
    came = np.random.default_rng(3).normal(2.0, 1.0, (STEPS, SERIES)).astype(np.float32)
    asked = Lessons(part.kinds, part.step_s, part.x, part.valid, part.until_s, came, part.demand)
    shifts = finish._covering([asked], [np.zeros((STEPS, SERIES, 3), np.float32)])
    assert [float((came < shift).mean()) for shift in shifts] == pytest.approx([0.1, 0.5, 0.9], abs=0.01)
    said = []
    for name, sizes in (("plain", (0.0, 0.0, 0.0)), ("shifted", shifts)):
        export.write(network.fresh("tcn"), export.Finish(sizes=sizes), tmp_path / f"{name}.onnx")
        session = Session(tmp_path / f"{name}.onnx")
        said.append(session.step(part.x[0], part.valid[0], session.start(SERIES))[1] + 1.0)
    grown = (said[1] / said[0])[said[0].min(axis=1) > 1.1]  # where no floor was met
    assert len(grown)
    assert grown == pytest.approx(np.tile(np.exp(shifts), (len(grown), 1)), rel=1e-3)


def test_an_export_names_the_inputs_it_was_trained_on(tmp_path):
    export.write(network.fresh("tcn"), export.Finish(), tmp_path / "m.onnx")
    session = Session(tmp_path / "m.onnx")
    assert session._onnx.get_modelmeta().custom_metadata_map[export.DIGEST_KEY] == inputs.DIGEST


def test_training_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path):
    part = lessons()
    plan = train.Plan(each=1, seconds=0, coarse_each=1, coarse_seconds=0, epochs=2, updates=3, batch=2, window=4)
    whole = train.Training("tcn", plan, tmp_path / "a", lambda _: None)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole.run([part], [part])
    stopped = train.Training("tcn", plan, tmp_path / "b", lambda _: None)
    save = stopped._save

    def stop():
        save()
        raise KeyboardInterrupt

    stopped._save = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.run([part], [part])
    again = train.Training("tcn", plan, tmp_path / "b", lambda _: None)
    again.run([part], [part])
    for one, two in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, two)
