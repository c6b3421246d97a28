"""Lessons: what came is what the generator made, and no split sees another."""

import numpy as np
import pytest

from sentinel_core.inputs import COLUMNS, HAZARDS
from sentinel_training import lessons, scenes

pytestmark = pytest.mark.timeout(300)  # thousands of steps: seconds of work, and far more where cores are shared

QUIET = lambda _: None  # noqa: E731


@pytest.fixture(scope="module")
def made():
    return [scenes.made(kind, 100.0, 7) for kind in ("periodic", "announced", "synflood")]


@pytest.fixture(scope="module")
def taught(made):
    return lessons.of_scenes(made, QUIET)


def test_no_seed_of_one_split_is_used_by_another():
    splits = [*lessons.SPLITS, "0" * 64, "f" * 64, "12345678" + "0" * 56]
    starts = sorted(lessons.seeds(split) for split in splits)
    assert min(np.diff(starts)) >= lessons.EMBARGO
    assert lessons.EMBARGO > 1_000 + 100  # the step in thousandths, and the scenes of a kind


def test_scenes_of_different_splits_share_no_window():
    """Byte by byte: the windows of ten seconds of one split are found nowhere in the other."""
    seen = {}
    for split in ("training", "validation"):
        scene = scenes.made("random", 120.0, lessons.seeds(split) + 100)
        seen[split] = {scene.value[at : at + 100, 1].tobytes() for at in range(0, 1_100, 10)}
    assert not seen["training"] & seen["validation"]


def test_the_same_seed_makes_the_same_scene():
    one, two = (scenes.made("cron", 130.0, 5) for _ in range(2))
    assert np.array_equal(one.value, two.value)
    assert not np.array_equal(one.value, scenes.made("cron", 130.0, 6).value)


def test_the_next_onset_is_the_generators(made, taught):
    for at, scene in enumerate(made):
        for step in (0, 500, 900):
            now = (step + 1) * 0.1
            coming = scene.onsets_s[scene.onsets_s >= now]
            expected = coming[0] - now if len(coming) else np.inf
            assert taught.until_s[step, at] == pytest.approx(expected, abs=1e-3)


def test_a_second_is_asked_about_only_before_an_onset():
    came, asked = lessons.bins(np.array([2.5, np.inf, 0.0], np.float32))
    assert came.argmax(axis=1).tolist() == [2, 0, 0]
    assert came.sum(axis=1).tolist() == [1, 0, 1]
    assert asked.sum(axis=1).tolist() == [3, 10, 1]


def test_inputs_know_the_past_only(made, taught):
    cut = 700
    other = [scenes.Scene(s.kind, s.step_s, s.value.copy(), s.known, s.surplus_bytes, s.onsets_s) for s in made]
    for scene in other:
        scene.value[cut:] *= 3.0
    other_x = lessons.of_scenes(other, QUIET).x
    assert np.array_equal(taught.x[:cut], other_x[:cut])
    assert not np.array_equal(taught.x[cut:], other_x[cut:])


def test_connections_come_before_the_bytes_of_an_announced_burst():
    scene = scenes.made("announced", 400.0, 3)
    flows = scene.value[:, 4]
    before = np.mean([flows[int(on * 10) - 25 : int(on * 10) - 2].mean() for on in scene.onsets_s if 80 < on < 390])
    assert before > 1.5 * np.median(flows[flows > 0])


def test_a_queue_fills_and_makes_packets_wait():
    seeds = (scenes.made("periodic", 200.0, seed) for seed in range(20))
    scene = next(each for each in seeds if each.known[:, 2].any())
    queue, wait = scene.value[:, 2], scene.value[:, 3]
    assert queue.max() > 0
    assert np.corrcoef(queue, wait)[0, 1] > 0.9


def test_lessons_are_the_same_after_a_stop(tmp_path, taught):
    lessons.save([taught], tmp_path / "l.npz")
    (back,) = lessons.restore(tmp_path / "l.npz")
    assert back.kinds == taught.kinds
    assert np.array_equal(back.x, taught.x)
    assert np.array_equal(back.demand, taught.demand, equal_nan=True)


def test_all_columns_are_finite_and_no_hazard_is_beyond_its_bounds(taught):
    assert taught.x.shape[-1] == len(COLUMNS)
    assert np.isfinite(taught.x).all()
    assert np.abs(taught.x[:, :, HAZARDS]).max() <= 12.0
