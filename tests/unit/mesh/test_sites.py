"""The choice of a site: near and roomy before far or full, never one that is not heard of, and no taking turns."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_mesh.sites import BETTER, FRESH_S, FULL, Site, chosen, cost_ms

AMOUNT = st.floats(0, 1e12)
SITES = st.builds(
    Site,
    name=st.sampled_from("abcdef"),
    round_trip_ms=st.floats(0, 500),
    headroom_bytes_per_s=AMOUNT,
    demand_bytes_per_s=AMOUNT,
    age_s=st.floats(0, 10),
    alive_nodes=st.integers(0, 3),
)
FLEETS = st.lists(SITES, max_size=6, unique_by=lambda each: each.name)
NEAR = Site("near", 2, 900, 100)
FAR = Site("far", 30, 900, 100)


def test_the_nearest_wins_while_it_has_room():
    assert chosen([FAR, NEAR]).name == "near"


def test_a_far_site_takes_over_before_the_near_one_is_full():
    busy = replace(NEAR, headroom_bytes_per_s=100, demand_bytes_per_s=900)
    assert busy.load < FULL
    assert chosen([busy, FAR]).name == "far"


@pytest.mark.parametrize("gone", [{"age_s": FRESH_S + 0.1}, {"alive_nodes": 0}])
def test_a_site_that_is_not_heard_of_or_has_nobody_is_not_chosen(gone):
    assert chosen([replace(NEAR, **gone), FAR], present="near").name == "far"
    assert chosen([replace(NEAR, **gone)]).name == ""


def test_when_all_are_full_the_least_loaded_takes_it():
    fuller, full = replace(NEAR, headroom_bytes_per_s=1), replace(FAR, headroom_bytes_per_s=2)
    assert chosen([fuller, full], present="near").name == "far"


def test_two_sites_alike_do_not_take_turns():
    other = replace(NEAR, name="other")
    for present in ("near", "other"):
        assert chosen([NEAR, other], present).name == present


def test_a_clearly_better_site_is_taken_and_the_reason_names_it():
    choice = chosen([NEAR, FAR], present="far")
    assert choice.name == "near"
    assert choice.reason == "best: 2 ms away, 10% full"


@given(FLEETS, st.sampled_from(["", *"abcdef"]))
def test_whatever_is_known_a_heard_site_is_chosen_and_stays_chosen(sites, present):
    heard = {each.name: each for each in sites if each.alive_nodes and each.age_s <= FRESH_S}
    choice = chosen(sites, present)
    assert (choice.name in heard) if heard else (choice.name == "")
    assert choice.reason
    assert chosen(sites, choice.name).name == choice.name
    if present in heard and choice.name == present and heard[present].load < FULL:
        best = min(cost_ms(each) for each in heard.values() if each.load < FULL)
        assert best >= BETTER * cost_ms(heard[present])


@given(SITES, st.floats(0, 100), AMOUNT, AMOUNT)
def test_cost_never_falls_when_a_site_gets_worse(site, farther_ms, more, less):
    worse = replace(
        site,
        round_trip_ms=site.round_trip_ms + farther_ms,
        demand_bytes_per_s=site.demand_bytes_per_s + more,
        headroom_bytes_per_s=max(site.headroom_bytes_per_s - less, 0.0),
    )
    assert cost_ms(worse) >= cost_ms(site) * (1 - 1e-9)


@given(FLEETS, st.randoms())
def test_the_order_in_which_sites_are_named_decides_nothing(sites, random):
    mixed = list(sites)
    random.shuffle(mixed)
    assert chosen(mixed) == chosen(sites)
