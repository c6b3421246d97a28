"""Every packet is counted once: in its class, in its shapes, and for one reason."""

import pytest

from sentinel_core.rules import Rule
from support.data_plane.agent import CLASSES, XDP_PASS
from support.frames import FIN, RST, SYN, ethernet, ipv4, tcp4, udp, udp4, udp6

FRAME = udp4()


def test_each_packet_is_counted_once_with_its_bytes(plane):
    plane.run(FRAME, repeat=7)
    cell = plane.cell()
    assert (cell["packets"], cell["bytes"], cell["new_flows"]) == (7, 7 * len(FRAME), 1)
    assert plane.reasons() == {"NO_ORDER": 7}


def test_other_classes_stay_untouched(plane):
    plane.rules.replace([Rule(9)])
    plane.run(FRAME, repeat=3)
    assert [plane.cell(c)["packets"] for c in range(CLASSES)] == [3 if c == 9 else 0 for c in range(CLASSES)]


def test_opens_and_closes_are_counted(plane):
    for flags in (SYN, SYN | 16, 16, FIN | 16, RST):
        plane.run(tcp4(flags=flags))
    cell = plane.cell()
    assert (cell["syns"], cell["closes"], cell["new_flows"]) == (1, 2, 1)


@pytest.mark.parametrize(
    ("size", "bucket"),
    [(42, 5), (63, 5), (64, 6), (127, 6), (128, 7), (1514, 10), (2047, 10), (2048, 11), (3400, 11)],
)
def test_sizes_fall_into_powers_of_two(plane, size, bucket):
    frame = ethernet(ipv4(udp(bytes(size - 42))))
    assert len(frame) == size
    plane.run(frame)
    assert [i for i, n in enumerate(plane.shape(0, "size")) if n] == [bucket]


def test_gaps_are_between_packets_of_one_class(plane):
    """The first packet of a class has none."""
    plane.run(FRAME)
    assert sum(plane.shape(0, "gap")) == 0
    plane.run(FRAME, repeat=1000)
    gaps = plane.shape(0, "gap")
    assert 900 <= sum(gaps) <= 1000  # one a CPU that the runs came by has no packet before it
    assert gaps[0] < 1000, "packets do not all come at one instant"


def test_a_class_under_an_order_counts_drops_marks_and_passes_over_its_lease(plane):
    plane.always()
    plane.run(FRAME)
    plane.run(udp4(tos=2))
    plane.order(lease_ns=-1, drain_Bps=1)
    plane.run(FRAME)
    cell = plane.cell()
    assert (cell["drops"], cell["drop_bytes"], cell["marks"], cell["lease_over"]) == (1, len(FRAME), 1, 1)
    assert plane.reasons() == {"EARLY_DROP": 1, "MARKED": 1, "LEASE_OVER": 1}


def test_shapes_and_flows_can_be_left_out_at_load(load_plane):
    plane = load_plane(sn_shapes_on=0, sn_flows_on=0)
    assert plane.run(FRAME) == (XDP_PASS, FRAME)
    assert plane.cell()["packets"] == 1
    assert sum(plane.shape(0, "size")) == 0
    assert plane.flows() == []


def test_the_class_goes_on_in_front_of_the_packet(plane):
    plane.rules.replace([Rule(7)])
    assert plane.meta(FRAME) == (0x534E4D31).to_bytes(4, "little") + (7).to_bytes(4, "little")
    assert plane.meta(udp6()) != b""
    assert plane.meta(ethernet(bytes(40), 0x0806)) == b"", "what has no class carries none"
