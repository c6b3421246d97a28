"""Which nodes a Service's flows are sent to: those that had them at once, and new ones after a while."""

from datetime import UTC, datetime, timedelta

from sentinel_operator.decide.newcomers import SETTLE, Newcomers

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OURS = frozenset({"a", "b"})


def nodes(*names):
    return {"shop": frozenset(names)}


def test_a_node_that_is_new_to_a_service_waits_and_is_let_in_once():
    waiting = Newcomers()
    assert waiting.admitted(nodes("a", "b"), nodes("a"), OURS, NOW) == nodes("a")
    assert waiting.next_in_s(NOW + SECOND) == (SETTLE - SECOND).total_seconds()
    assert waiting.admitted(nodes("a", "b"), nodes("a"), OURS, NOW + SETTLE - SECOND) == nodes("a")
    assert waiting.admitted(nodes("a", "b"), nodes("a"), OURS, NOW + SETTLE) == nodes("a", "b")
    assert waiting.next_in_s(NOW + SETTLE) is None
    assert waiting.admitted(nodes("a", "b"), nodes("a"), OURS, NOW + 9 * SETTLE) == nodes("a", "b"), "until told of"
    assert waiting.admitted(nodes("a", "b"), nodes("a", "b"), OURS, NOW + 9 * SETTLE) == nodes("a", "b")


def test_a_node_whose_pod_went_and_came_again_waits_anew_and_one_that_went_gets_nothing():
    waiting = Newcomers()
    waiting.admitted(nodes("a", "b"), nodes("a"), OURS, NOW)
    assert waiting.admitted(nodes("a"), nodes("a"), OURS, NOW + SECOND) == nodes("a")
    assert waiting.next_in_s(NOW + SECOND) is None
    assert waiting.admitted(nodes("a", "b"), nodes("a"), OURS, NOW + SETTLE) == nodes("a")
    assert waiting.admitted(nodes("b"), nodes("a"), OURS, NOW + SETTLE) == nodes("b"), "nobody else is left"


def test_a_service_that_is_gone_is_waited_for_no_more():
    waiting = Newcomers()
    waiting.admitted(nodes("a", "b"), nodes("a"), OURS, NOW)
    assert waiting.admitted({}, nodes("a"), OURS, NOW + SECOND) == {}
    assert waiting.next_in_s(NOW + SECOND) is None


def test_a_service_that_nobody_serves_yet_begins_at_once():
    assert Newcomers().admitted(nodes("a", "b"), {}, OURS, NOW) == nodes("a", "b")


def test_a_node_that_is_no_longer_ours_keeps_nobody_waiting():
    assert Newcomers().admitted(nodes("a", "b"), nodes("a"), frozenset({"b"}), NOW) == nodes("a", "b")
