"""When UDP flows may have come from another balancer."""

from sentinel_lb.decide.services import Service
from sentinel_lb.decide.strays import LONGEST_NS, SHORTEST_NS, UNHEARD_NS, Strays, longest_idle, strays

SECOND = 1_000_000_000
NOW = 1000 * SECOND
IDLE = 60 * SECOND
ALONE: frozenset[str] = frozenset()


def test_nothing_is_expected_while_the_same_balancers_are_there():
    assert strays(Strays(), ALONE, ALONE, NOW, IDLE) == Strays()
    before = Strays(NOW - 90 * SECOND, NOW - 30 * SECOND)
    assert strays(before, {"lb2"}, {"lb2"}, NOW, IDLE) == before


def test_a_balancer_that_goes_or_comes_or_begins_with_nothing_is_a_time_of_strays():
    wanted = Strays(NOW - UNHEARD_NS, NOW + IDLE)
    assert strays(Strays(), {"lb2"}, ALONE, NOW, IDLE) == wanted
    assert strays(Strays(), ALONE, {"lb2"}, NOW, IDLE) == wanted
    assert strays(Strays(), None, ALONE, NOW, IDLE) == wanted


def test_changes_that_follow_each_other_are_one_time():
    first = strays(Strays(), {"lb2", "lb3"}, {"lb3"}, NOW, IDLE)
    assert strays(first, {"lb3"}, ALONE, NOW + 20 * SECOND, IDLE) == Strays(first.from_ns, NOW + 80 * SECOND)
    late = NOW + 61 * SECOND
    assert strays(first, {"lb3"}, ALONE, late, IDLE) == Strays(late - UNHEARD_NS, late + IDLE)


def test_no_time_is_before_the_clock_began():
    assert strays(Strays(), None, ALONE, SECOND, IDLE).from_ns == 0


def service(protocol: int, idle_s: int) -> Service:
    return Service("198.51.100.9", 53, protocol, (), idle_s * SECOND, sticky=False, counts_for=53)


def test_it_lasts_as_long_as_the_most_patient_udp_service():
    assert longest_idle([]) == SHORTEST_NS
    assert longest_idle([service(17, 60), service(17, 40), service(6, 300)]) == 60 * SECOND
    assert longest_idle([service(17, 86_400)]) == LONGEST_NS
