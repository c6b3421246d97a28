"""A flood is made of SYNs that any TCP would take for what they say they are."""

import socket

import numpy as np

from sentinel_lab.traffic.patterns import FLOOD_PPS, schedule
from sentinel_lab.traffic.syns import SYN_BYTES, Syns, checksums, counted

ADDRESS, PORT = "10.77.2.2", 9001


def filled(count: int = 64, first: int = 7) -> np.ndarray:
    made = Syns(64, ADDRESS, PORT, seed=1)
    made.fill(first, np.zeros(count, np.uint64))
    return made.batch.block[:count]


def test_checksums_hold_and_one_changed_byte_breaks_them():
    rows = filled()
    assert not checksums(rows).any()
    rows[3, 33] ^= 1
    assert np.flatnonzero(checksums(rows)).tolist() == [3]


def test_a_checksum_is_the_internet_s_own():
    """Worked out a byte pair at a time, as RFC 1071 says."""
    row = filled()[0].tobytes()
    summed = row[12:20] + bytes((0, socket.IPPROTO_TCP)) + (SYN_BYTES - 20).to_bytes(2, "big") + row[20:]
    total = sum(int.from_bytes(summed[at : at + 2], "big") for at in range(0, len(summed), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_each_has_a_forged_source_and_the_service_as_its_destination():
    rows = filled()
    sources = {socket.inet_ntoa(row[12:16].tobytes()) for row in rows}
    assert len(sources) > 60
    assert {each.split(".")[0] for each in sources} == {"198"}
    assert {socket.inet_ntoa(row[16:20].tobytes()) for row in rows} == {ADDRESS}
    assert [int.from_bytes(row[24:28].tobytes(), "big") for row in rows] == list(range(7, 71))


def test_only_syns_to_the_ports_asked_for_are_counted():
    rows = filled()
    rows[0, 33] = 0x12  # a SYN-ACK
    rows[1, 23] += 1  # another port
    assert counted(rows, (PORT,)) == {PORT: 62}


def test_every_run_of_ten_seconds_meets_the_flood_and_calm_before_it():
    for seed in range(20):
        found = schedule("syns", 10.0, seed)
        ((start, end),) = found.bursts[:1]
        assert 2.0 <= start <= 5.0
        assert end == start + 5.0
        assert found.times_s[0] == start
        assert abs(found.times_s.size - FLOOD_PPS * sum(b - a for a, b in found.bursts)) <= 1
