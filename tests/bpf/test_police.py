"""The policer in the program that ships: orders are obeyed while they live, and a signal changes what it must."""

import time

import numpy as np
import pytest

from sentinel_core.rules import Rule
from support.data_plane.agent import HOUR_NS, MARK, POLICE, XDP_DROP, XDP_PASS
from support.frames import ethernet, ipv4, ipv4_sum_holds, ipv6, udp, udp4, udp6

FRAME = udp4()
ECT0 = udp4(tos=2)
Q16, Q32 = 1 << 16, 1 << 32
TICKS_PER_S = 64 * 10**9


def test_without_an_order_nothing_is_touched(plane):
    assert plane.run(FRAME) == (XDP_PASS, FRAME)
    assert plane.reasons() == {"NO_ORDER": 1}


@pytest.mark.parametrize(
    ("lease_ns", "limit", "action", "reason"),
    [
        pytest.param(HOUR_NS, 0, XDP_DROP, "OVER_LIMIT", id="a live order is obeyed"),
        pytest.param(HOUR_NS, 1, XDP_PASS, "PASSED", id="a live order with headroom passes"),
        pytest.param(-1, 0, XDP_PASS, "LEASE_OVER", id="an expired lease fails open"),
    ],
)
def test_orders_and_leases(plane, lease_ns, limit, action, reason):
    plane.order(lease_ns=lease_ns, drain_Bps=1000, max_bytes=limit, flags=POLICE)
    assert plane.run(FRAME) == (action, FRAME)
    assert plane.reasons() == {reason: 1}


def test_the_limit_lets_in_the_packet_that_passes_it_and_none_after(plane):
    plane.order(drain_Bps=10, max_bytes=3 * len(FRAME) - 40, flags=POLICE)
    verdicts = [plane.run(FRAME)[0] for _ in range(6)]
    assert verdicts == [XDP_PASS] * 3 + [XDP_DROP] * 3
    plane.order(drain_Bps=10, max_bytes=4 * len(FRAME), flags=POLICE)
    assert plane.run(FRAME)[0] == XDP_PASS, "a raised limit heals"


def test_a_minute_of_delay_is_over_every_limit(plane):
    """Beyond it the queue's arithmetic would not fit; no order means that."""
    plane.order(drain_Bps=1, max_bytes=1 << 40, flags=POLICE)
    assert [plane.run(udp4(bytes(100)))[0] for _ in range(2)] == [XDP_PASS, XDP_DROP]


def test_the_queue_drains_at_its_rate(plane):
    """A frame takes a second here; earlier and later are told by the state, not waited for."""
    plane.order(drain_Bps=len(FRAME), max_bytes=1, flags=POLICE)
    plane.run(FRAME)
    before = int(plane.queues["empty_tick"][0])
    plane.queues["empty_tick"][0] = before + 59 * TICKS_PER_S
    assert plane.run(FRAME)[0] == XDP_DROP
    plane.queues["empty_tick"][0] = before - TICKS_PER_S
    assert plane.run(FRAME)[0] == XDP_PASS
    assert int(plane.queues["empty_tick"][0]) - time.monotonic_ns() * 64 <= TICKS_PER_S


def test_without_police_the_queue_only_measures(plane):
    plane.order(drain_Bps=1, max_bytes=1, target_us=1, kp=Q16, flags=0)
    assert {plane.run(FRAME)[0] for _ in range(20)} == {XDP_PASS}
    assert plane.queues["empty_tick"][0] > time.monotonic_ns() * 64


def test_the_controller_drops_when_delay_stands_above_its_target(plane):
    plane.order(drain_Bps=10, max_bytes=1 << 40, target_us=1000, kp=Q16, flags=POLICE)  # a frame takes seconds
    verdicts = []
    for _ in range(10):
        verdicts.append(plane.run(FRAME)[0])
        time.sleep(0.0015)
    assert verdicts[0] == XDP_PASS
    assert verdicts[-1] == XDP_DROP
    assert plane.queues["probability"][0] == Q16


@pytest.mark.parametrize("lease_ns", [HOUR_NS, -1], ids=["silence", "silence past the lease"])
def test_the_first_packet_after_a_silence_is_not_signalled(plane, lease_ns):
    """Last asked when the machine started, and then for every packet; past a lease nobody steps either."""
    asked = {"drain_Bps": 10**9, "max_bytes": 1 << 40, "target_us": 1000, "ki": Q16 // 2, "flags": POLICE}
    plane.order(lease_ns=lease_ns, **asked)
    plane.queues["probability"], plane.queues["integral"], plane.queues["stepped_ns"] = Q16, Q32, 1
    plane.run(FRAME)
    plane.order(**asked)
    assert plane.run(FRAME) == (XDP_PASS, FRAME)
    assert (plane.queues["probability"][0], plane.queues["integral"][0]) == (0, 0)


@pytest.mark.parametrize("ecn", [1, 2])
@pytest.mark.parametrize("dscp", [0, 46, 63])
@pytest.mark.parametrize("options", [b"", b"\1\1\1\1" * 10])
def test_an_ipv4_mark_changes_two_bits_and_keeps_the_sum_right(plane, ecn, dscp, options):
    plane.always()
    datagram = udp(b"payload", ends=("192.0.2.7", "198.51.100.9"))
    sent = ethernet(ipv4(datagram, tos=dscp << 2 | ecn, options=options))
    wanted = ethernet(ipv4(datagram, tos=dscp << 2 | 3, options=options))
    assert plane.run(sent) == (XDP_PASS, wanted)
    assert ipv4_sum_holds(wanted)
    assert plane.reasons() == {"MARKED": 1}


@pytest.mark.parametrize("ecn", [1, 2])
@pytest.mark.parametrize("flow_label", [0, 0xFFFFF])
def test_an_ipv6_mark_changes_the_traffic_class_alone(plane, ecn, flow_label):
    plane.always()
    sent = ethernet(ipv6(udp(ends=None), traffic_class=0xB8 | ecn, flow_label=flow_label))
    assert plane.run(sent) == (XDP_PASS, ethernet(ipv6(udp(ends=None), traffic_class=0xBB, flow_label=flow_label)))


def test_a_mark_behind_two_vlan_tags(plane):
    plane.always()
    tags = [(0x88A8, 5), (0x8100, 6)]
    sent, wanted = (ethernet(ipv4(udp(b"x"), tos=tos), vlans=tags) for tos in (1, 3))
    assert plane.run(sent) == (XDP_PASS, wanted)


@pytest.mark.parametrize("third", range(0, 256, 15))
def test_the_sum_holds_for_sums_all_over_their_range(plane, third):
    """Among 256 neighbours is one whose sum wraps."""
    plane.always()
    for fourth in range(256):
        source = f"10.0.{third}.{fourth}"
        marked = plane.run(udp4(tos=2, source=source))[1]
        assert marked == udp4(tos=3, source=source)


@pytest.mark.parametrize(
    ("flags", "frame", "action", "reason"),
    [
        pytest.param(POLICE | MARK, FRAME, XDP_DROP, "EARLY_DROP", id="what cannot be marked is dropped"),
        pytest.param(POLICE, ECT0, XDP_DROP, "EARLY_DROP", id="marking may be off"),
        pytest.param(MARK, FRAME, XDP_PASS, "PASSED", id="without police nothing is dropped"),
        pytest.param(POLICE | MARK, udp4(tos=3), XDP_PASS, "PASSED", id="marked before"),
        pytest.param(POLICE | MARK, udp6(traffic_class=3), XDP_PASS, "PASSED", id="IPv6, marked before"),
    ],
)
def test_what_a_signal_does(plane, flags, frame, action, reason):
    plane.always(flags=flags)
    assert plane.run(frame) == (action, frame)
    assert plane.reasons() == {reason: 1}


def test_dropped_packets_do_not_stand_in_the_queue_and_marked_ones_do(plane):
    plane.always()
    plane.run(FRAME)
    assert plane.queues["empty_tick"][0] == 0
    plane.run(ECT0)
    assert plane.queues["empty_tick"][0] > 0


def test_the_share_of_signalled_packets_is_the_probability(plane):
    plane.always()
    plane.queues["probability"][0] = Q16 // 4
    plane.run(FRAME, repeat=40_000)
    share = plane.reasons()["EARLY_DROP"] / 40_000
    assert 0.23 < share < 0.27


def test_classes_are_policed_one_by_one(plane):
    plane.rules.replace([Rule(2, dscp=46)])
    plane.always(2)
    assert plane.run(udp4(tos=46 << 2))[0] == XDP_DROP
    assert plane.run(FRAME)[0] == XDP_PASS


def test_policing_can_be_left_out_at_load(load_plane):
    plane = load_plane(sn_police_on=0)
    plane.order(drain_Bps=1, max_bytes=0, flags=POLICE)
    assert plane.run(FRAME) == (XDP_PASS, FRAME)


def test_wrong_words_in_every_order_lose_no_count_and_end_with_the_lease(plane):
    """Whatever is written there, a packet passes or is dropped for one reason, and changes by a mark at the most."""
    dice, frames = np.random.default_rng(11), [udp4(bytes(100), tos=tos) for tos in (0, 2)]
    words = [each.view(np.uint64) for each in (plane.orders, plane.queues)]
    for _ in range(200):
        for each in words:
            anything = dice.integers(0, 1 << 64, each.shape, np.uint64)
            each[...] = np.choose(dice.integers(0, 4, each.shape), [0, 1, (1 << 64) - 1, anything])
        for frame in frames:
            action, seen = plane.run(frame)
            assert action in (XDP_PASS, XDP_DROP)
            assert (seen[:14], seen[26:]) == (frame[:14], frame[26:])
    assert plane.reasons().total() == plane.cell()["packets"] == 400
    plane.orders["valid_until_ns"][...] = 1
    assert all(plane.run(frame) == (XDP_PASS, frame) for frame in frames)
    assert plane.reasons()["LEASE_OVER"] >= len(frames)
