"""What comes before a class's bursts: learned where it comes each time, and not heard where nothing does."""

import numpy as np
import pytest

from sentinel_core.herald import HIGH, LOW, Heralds

AHEAD = 11
BASE = np.array([0.01, 0.01])
RISE_S, GAP_S, CALM = 10, 60, 200.0


def second(heralds, rates, *, came=False, known=True):
    """Bursts are two classes' at once; only the first one's are announced."""
    ones = np.ones(2)
    heralds.learn(np.asarray(rates, float), ones * known, ones * came, ones * came)


def cycle(heralds, random, *, rise=True, burst=True):
    """A minute whose last ten seconds rise to double the rate in the first class, and then a burst in both."""
    for at in range(GAP_S):
        rising = max(0, at - (GAP_S - RISE_S)) / RISE_S if rise else 0.0
        second(heralds, random.poisson([CALM * (1.0 + rising), CALM]))
    if burst:
        second(heralds, [CALM * 10] * 2, came=True)


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.fixture
def taught(random):
    found = Heralds(2, AHEAD)
    for _ in range(6):
        cycle(found, random)
    return found


def risen(heralds, random, seconds):
    for _ in range(30):
        second(heralds, random.poisson([CALM, CALM]))
    for at in range(seconds):
        second(heralds, random.poisson([CALM * (1.0 + at / RISE_S), CALM]))


@pytest.mark.parametrize("seconds", [5, 7, 9])
def test_a_ramp_like_the_last_ones_names_the_second_of_the_burst(taught, random, seconds):
    risen(taught, random, seconds)
    said = taught.ahead(BASE)[0]
    assert abs(int(said.argmax()) - (RISE_S - seconds)) <= 1
    assert said.max() > 3.0


def test_without_the_ramp_none_is_near(taught, random):
    risen(taught, random, 0)
    assert (taught.ahead(BASE)[0, :5] == LOW).all()


def test_what_nothing_announces_is_not_announced(taught, random):
    risen(taught, random, 8)
    assert taught.ahead(BASE)[1] == pytest.approx(np.zeros(AHEAD), abs=1.0)


def test_nothing_is_said_before_a_few_bursts_were_seen(random):
    heralds = Heralds(2, AHEAD)
    cycle(heralds, random)
    cycle(heralds, random)
    risen(heralds, random, 9)
    assert (heralds.ahead(BASE) == 0.0).all()


def test_what_heralded_a_burst_heralds_no_second_one(taught, random):
    risen(taught, random, 9)
    before = taught.ahead(BASE)[0].max()
    second(taught, [CALM * 10] * 2, came=True)
    for _ in range(3):
        second(taught, random.poisson([CALM, CALM]))
    assert taught.ahead(BASE)[0].max() < before - 3.0


def test_ramps_that_bring_nothing_are_forgotten_with_those_that_did(taught, random):
    for _ in range(60):
        cycle(taught, random, rise=False)
    risen(taught, random, 8)
    assert abs(taught.ahead(BASE)[0]).max() < 3.0


def test_seconds_that_were_not_measured_say_nothing(taught, random):
    risen(taught, random, 8)
    taught.skip()
    assert taught.ahead(BASE)[0] == pytest.approx(np.zeros(AHEAD), abs=0.2)
    for _ in range(5):
        second(taught, [CALM * 3, CALM], known=False)
    assert taught.ahead(BASE)[0] == pytest.approx(np.zeros(AHEAD), abs=0.2)


def test_whatever_comes_the_answers_are_bounded():
    random = np.random.default_rng(4)
    heralds = Heralds(2, AHEAD)
    for _ in range(400):
        came = random.random(2) < 0.1
        rate = np.exp(random.uniform(0, 18, 2)) * random.integers(0, 2, 2)
        heralds.learn(rate, (random.random(2) < 0.8).astype(float), came.astype(float), came.astype(float))
        said = heralds.ahead(np.array([1e-5, 0.3]))
        assert np.isfinite(said).all()
        assert (said >= LOW).all()
        assert (said <= HIGH).all()
