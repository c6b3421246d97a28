"""Bulk flows fill the link, back off when they lose, and share one queue about evenly."""

import numpy as np
import pytest

from sentinel_lab.sim.bulk import MSS_BYTES, Bulk, Flow

STEP_S, RTT_S, LINK = 0.002, 0.02, 8_000_000.0


def through(limit: float, seconds: float = 12.0, seed: int = 1) -> tuple[float, float, float]:
    """Mean throughput, mean backlog and drop share behind a plain bounded queue, of the second half."""
    flows, backlog, half = Bulk(seed, 4, RTT_S, STEP_S), 0.0, seconds / 2
    sums = np.zeros(4)
    for step in range(round(seconds / STEP_S)):
        waiting = backlog / LINK
        arriving = flows.send(step * STEP_S, waiting)
        served = min(backlog + arriving, LINK * STEP_S)
        dropped = min(arriving, max(0.0, backlog + arriving - served - limit))
        backlog += arriving - served - dropped
        flows.served(dropped, served, waiting)
        if step * STEP_S >= half:
            sums += served, backlog * STEP_S, dropped, arriving
    return sums[0] / half, sums[1] / half, sums[2] / sums[3]


def test_with_room_for_a_round_trip_the_link_is_full():
    throughput, _, _ = through(limit=LINK * RTT_S)
    assert throughput > 0.95 * LINK


def test_a_larger_queue_stands_fuller_and_drops_less():
    small, large = through(limit=100_000, seconds=30.0), through(limit=1_600_000, seconds=30.0)
    assert large[1] > 4 * small[1]
    assert large[2] < small[2]


def test_losses_keep_the_windows_within_what_the_path_holds():
    flows = Bulk(3, 4, RTT_S, STEP_S)
    for step in range(1_500):
        arriving = flows.send(step * STEP_S, 0.0)
        flows.served(max(arriving - LINK * STEP_S, 0.0), min(arriving, LINK * STEP_S), 0.0)
    assert arriving < 4 * LINK * STEP_S


def test_flows_without_loss_grow_for_ever_and_send_what_was_acknowledged():
    flows = Bulk(5, 1, RTT_S, STEP_S)
    first = flows.send(0.0, 0.0)
    assert first == pytest.approx(10 * MSS_BYTES)
    flows.served(0.0, first, 0.0)
    for step in range(1, 10):
        assert flows.send(step * STEP_S, 0.0) == 0
        flows.served(0.0, 0.0, 0.0)
    assert flows.send(0.02, 0.0) == pytest.approx(2 * first)


def test_luck_belongs_to_the_seed():
    def last_sent(seed: int) -> list[float]:
        flows, sent = Bulk(seed, 2, RTT_S, STEP_S), []
        for step in range(500):
            sent.append(flows.send(step * STEP_S, 0.0))
            flows.served(max(sent[-1] - 18_000, 0.0), min(sent[-1], 18_000), 0.0)
        return sent

    assert last_sent(9) == last_sent(9)
    assert last_sent(9) != last_sent(4)


def test_slow_start_ends_where_waits_grow_and_not_with_a_flood_of_losses():
    """As the kernel's does; without, what stands would grow as fast as the link drains."""
    flows, backlog = Bulk(7, 4, RTT_S, STEP_S), 0.0
    for step in range(round(0.5 / STEP_S)):
        waiting = backlog / LINK
        arriving = flows.send(step * STEP_S, waiting)
        served = min(backlog + arriving, LINK * STEP_S)
        backlog += arriving - served
        flows.served(0.0, served, waiting)
    assert served == pytest.approx(LINK * STEP_S)
    assert backlog < 2 * LINK * RTT_S


def test_a_flow_that_loses_below_its_last_peak_remembers_a_lower_one():
    flow = Flow(window=100 * MSS_BYTES)
    flow.back_off(0.0, 0.0)
    peak = flow.most
    flow.back_off(1.0, 0.0)
    assert flow.most == pytest.approx(0.85 * 0.7 * peak)


def test_before_its_first_loss_a_flow_grows_by_a_twentieth_of_what_is_acknowledged():
    fresh, known = (Flow(window=100 * MSS_BYTES, threshold=0.0, most=100 * MSS_BYTES) for _ in range(2))
    known.met_loss = True
    for flow in (fresh, known):
        flow.grow(20 * MSS_BYTES, 0.0, RTT_S, 0.0)
    assert fresh.window == pytest.approx(101 * MSS_BYTES)
    assert known.window < 100.5 * MSS_BYTES
