"""`sentinel bench placement --moved`: how long room had been there before the first packet, from a row of looks."""

from sentinel_lab.bench.moved import CALM_BYTES, FLOOR_BYTES, REST_NS, Round, figures, judged, rests
from sentinel_lab.history import Tick

MS = 1_000_000


def tick(at_ms, limit, packets=100, drops=0, backlog=0):
    return Tick(at_ms * MS, limit, backlog, packets, 0, 0, drops, 0, ())


def test_room_counts_from_when_half_of_it_was_there_until_the_last_look_without_a_packet():
    looks = [tick(0, 100), tick(2, 100), tick(4, 300), tick(6, 900), tick(8, 1100), tick(10, 1100, 101, drops=7)]
    assert judged(looks) == Round(lead_ms=4.0, calm_bytes=100, room_bytes=1100, dropped=7, arrived=1)


def test_room_that_comes_with_the_first_packet_or_after_it_is_late():
    late = [tick(0, 100), tick(2, 100), tick(4, 900, 101), tick(6, 900, 150, drops=3)]
    assert judged(late) == Round(lead_ms=0.0, calm_bytes=100, room_bytes=100, dropped=3, arrived=50)


def test_room_that_was_taken_back_before_the_first_packet_is_none():
    looks = [tick(0, 100), tick(2, 900), tick(4, 100), tick(6, 100, 101)]
    assert judged(looks).lead_ms == 0


def test_rest_is_a_second_in_which_nothing_came_and_nothing_changed():
    second = REST_NS // MS
    assert not rests([])
    assert not rests([tick(0, FLOOR_BYTES), tick(second - 1, FLOOR_BYTES)])
    assert rests([tick(0, FLOOR_BYTES), tick(second, FLOOR_BYTES)])
    assert rests([tick(0, 2 * FLOOR_BYTES, 1), tick(1, FLOOR_BYTES), tick(second + 1, FLOOR_BYTES)])
    assert not rests([tick(0, FLOOR_BYTES), tick(2, FLOOR_BYTES + 1), tick(second, FLOOR_BYTES)])
    assert not rests([tick(0, FLOOR_BYTES), tick(2, FLOOR_BYTES, 101), tick(second, FLOOR_BYTES)])
    assert not rests([tick(0, CALM_BYTES + 1), tick(second, CALM_BYTES + 1)])
    assert not rests([tick(0, FLOOR_BYTES), tick(second, FLOOR_BYTES, backlog=1)])


def test_what_is_told_of_several_rounds():
    found = figures([Round(200.0, 100, 900, 0, 50), Round(0.0, 100, 100, 10, 50)])
    assert found["room_first_share"] == 0.5
    assert (found["lead_ms_min"], found["lead_ms_p50"]) == (0.0, 100.0)
    assert found["drop_share"] == 0.1
