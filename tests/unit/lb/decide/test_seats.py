"""Seats: a backend keeps its number for life, and a number's next owner inherits nothing."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.v1alpha1.balancerconfig import BackendSpec
from sentinel_lb.decide.seats import IDLE_NS, Found, Seat, over, seated, without

S = 1_000_000_000


def spec(name, *, address=None, draining=False):
    return BackendSpec(name=name, address=address or f"10.0.0.{ord(name[0])}", draining=draining)


def key(name):
    return name, f"10.0.0.{ord(name[0])}"


def test_the_first_get_the_lowest_numbers():
    seats = seated({}, [spec("a"), spec("b")], {}, 0)
    assert [(seat.number, seat.generation) for seat in seats.values()] == [(0, 1), (1, 1)]


def test_what_is_asked_again_stays_as_it_is():
    once = seated({}, [spec("a"), spec("b")], {}, 0)
    assert seated(once, [spec("b"), spec("a")], {}, S) == once


def test_a_successor_finds_the_numbers_of_its_predecessor():
    found = {4: Found("10.0.0.97", 3), 2: Found("10.0.0.98", 1)}
    seats = seated({}, [spec("b"), spec("a"), spec("c")], found, 0)
    assert seats[key("a")].number == 4
    assert seats[key("a")].generation == 3
    assert seats[key("b")].number == 2
    assert seats[key("c")].number == 0


def test_a_number_given_again_has_another_generation():
    seats = seated({}, [spec("a")], {0: Found("", 7)} | {n: Found("", 1) for n in range(1, 1024)}, 0)
    assert seats[key("a")] == Seat(0, 8, spec("a"))


def test_who_is_left_out_leaves_only_when_its_flows_are_done():
    seats = seated(seated({}, [spec("a"), spec("b")], {}, 0), [spec("b")], {}, S)
    leaving = seats[key("a")]
    assert not leaving.listed
    assert leaving.drains_since_ns == S
    assert not over(leaving, 2 * S, S, 300 * S)
    assert "idle" in over(leaving, S + IDLE_NS, S, 300 * S)
    assert "over" in over(leaving, 301 * S, 301 * S, 300 * S)
    assert key("a") not in without(seats, [leaving.key])


def test_who_comes_back_in_time_is_as_before():
    once = seated({}, [spec("a")], {}, 0)
    assert seated(seated(once, [], {}, S), [spec("a")], {}, 2 * S) == once


def test_a_drain_has_one_beginning():
    seats = seated({}, [spec("a")], {}, 0)
    drained = seated(seats, [spec("a", draining=True)], {}, 5 * S)
    again = seated(drained, [spec("a", draining=True)], {}, 9 * S)
    assert again[key("a")].drains_since_ns == 5 * S


def test_another_address_is_another_node():
    seats = seated(seated({}, [spec("a")], {}, 0), [spec("a", address="10.0.0.9")], {}, S)
    old, new = seats[key("a")], seats["a", "10.0.0.9"]
    assert old.number != new.number
    assert not old.listed


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(st.lists(st.tuples(NAMES, st.booleans()), max_size=12))
def test_numbers_are_never_shared_whatever_comes_and_goes(history):
    seats, now = {}, 0
    for names, ends in history:
        now += S
        seats = seated(seats, [spec(name) for name in names], {}, now)
        assert len({seat.number for seat in seats.values()}) == len(seats)
        assert {seat.spec.name for seat in seats.values() if seat.listed} == set(names)
        if ends:
            seats = without(seats, [seat.key for seat in seats.values() if not seat.listed])
