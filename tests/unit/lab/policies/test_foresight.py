"""The product's own decide under forecasts that are right, and under those that turn wrong when they are trusted."""

import pytest

from sentinel_lab import seasoning
from sentinel_lab.policies import NEEDS_TRUTH, Seen, made
from sentinel_lab.scenario import SINGLE

PAST_S = 120.0
NO_BURST = 8 * SINGLE.floor_bytes  # what a period once brought at once stays free; a burst is eight times that


@pytest.fixture(scope="module")
def seasoned():
    """The limit of the bursty class at each tenth of a second before the first burst, by policy."""
    found = {}
    for name in NEEDS_TRUTH:
        lives = [seasoning.life(each, "periodic", 10.0, 0, PAST_S) for each in SINGLE.classes]
        policy = made(name, SINGLE, seasoning.truth(SINGLE, lives, 0))
        policy.season(seasoning.samples(SINGLE, lives, 0))
        assert policy.trust[1] > 0.5, f"{name} was right all the time before and is not believed"
        calm = (Seen(step * 100_000_000, 0.1, 0, 65_536, 100_000, 100_000, 0, 100) for step in range(1, 40))
        found[name] = [policy.limits({1: each, 2: each})[1] for each in calm]
    return found


def test_the_oracle_has_room_for_the_burst_before_it_comes_and_not_long_before(seasoned):
    assert max(seasoned["oracle"][:18]) <= NO_BURST
    assert seasoned["oracle"][-1] >= 4_000_000


def test_a_silent_or_late_forecast_makes_no_room_in_time(seasoned):
    assert max(seasoned["predictive-silent"]) <= NO_BURST
    assert seasoned["predictive-late"][25] <= NO_BURST


def test_an_inverted_forecast_is_silent_just_then(seasoned):
    assert seasoned["predictive-inverted"][-1] <= NO_BURST


def test_an_early_forecast_gives_the_room_back_before_the_burst(seasoned):
    assert seasoned["predictive-early"][-1] <= NO_BURST
