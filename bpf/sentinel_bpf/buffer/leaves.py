"""Where the packets of tier B stand: in each class a bucket that takes aggregates apart, and in that a fifo.

    HTB class ─ tbf, no rate ─ aggregate > whole_bytes(limit)? ─┬─ no ─────────────────────────┬─ bfifo, limit
                                                                └─ yes: frame by frame ────────┘

A bfifo admits only what fits wholly, and what GRO or GSO made of many frames counts as one packet of up to 64 KiB: by
itself it would refuse forty frames where there is room for thirty, and such a packet for ever at a limit below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sentinel_bpf.buffer import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BUCKETS: Final = 0x100  # a class's bucket has the handle major + this + the class's minor
FIFOS: Final = 0x200
INNER: Final = 1  # the one class of a bucket
SHARE: Final = (
    16  # an aggregate stays whole where it is at most this part of the limit; docs/design/0017 has the figures
)
LEAST_WHOLE_BYTES: Final = 2048
FRAME_SLACK_BYTES: Final = 64  # link header, tags and tunnels beyond the MTU


def limits(standing: Iterable[wire.Message], major: int) -> dict[int, int]:
    """Limit in bytes of each class's fifo, by minor, out of what stands in a device: what the kernel has, not what was
    sent."""
    first = major + BUCKETS
    return {
        (each.parent >> 16) - first: int.from_bytes(each.attributes[wire.TCA_OPTIONS][:4], "little")
        for each in standing
        if each.name == "bfifo" and each.parent >> 16 > first
    }


class Leaves:
    """Of one queue, by minor of their class."""

    def __init__(self, rtnl: wire.Rtnl, major: int) -> None:
        self._wire = rtnl
        self._major = major
        self._index = 0
        self._frames_from = 0
        self._largest_frame = LEAST_WHOLE_BYTES

    def at(self, index: int, frames_from: int) -> None:
        """The device with the queue from now on, and the one whose frames come here."""
        self._index, self._frames_from = index, frames_from

    def make(self, limits: Mapping[int, int]) -> None:
        """Those that are not there yet."""
        made = self.read(limits)
        self._largest_frame = self._frame()
        bodies = []
        for minor in limits.keys() - made.keys():
            bodies += [self._parted(minor, limits[minor]), wire.fifo(self._fifo(minor), limits[minor])]
        _, refused = self._wire.change(bodies, make=True)
        if refused:
            raise refused

    def resize(self, limits: Mapping[int, int]) -> tuple[dict[int, int], Exception | None]:
        """All in one message: the limits that the kernel then has, and what it refused first."""
        answers, refused = self._wire.change([self._parted(minor, limit) for minor, limit in limits.items()])
        found = {minor: answers.get(self._bucket(minor).parent) for minor in limits}
        return {minor: wire.limit_of(answer) for minor, answer in found.items() if answer}, refused

    def read(self, minors: Iterable[int]) -> dict[int, wire.Leaf]:
        """Those that are there."""
        spots = {minor: self._fifo(minor) for minor in minors}
        found = self._wire.leaves(list(spots.values()))
        return {minor: found[spot.parent] for minor, spot in spots.items() if spot.parent in found}

    def outgrown(self) -> bool:
        """Whether frames became larger than what the buckets were told to leave whole: they refuse those."""
        before, self._largest_frame = self._largest_frame, self._frame()
        return self._largest_frame > before

    def _frame(self) -> int:
        return max(LEAST_WHOLE_BYTES, self._wire.mtu(self._frames_from) + FRAME_SLACK_BYTES)

    def _parted(self, minor: int, limit_bytes: int) -> bytes:
        return wire.parted(self._bucket(minor), limit_bytes, max(self._largest_frame, limit_bytes // SHARE))

    def _bucket(self, minor: int) -> wire.Spot:
        return wire.Spot(self._index, self._major << 16 | minor, self._major + BUCKETS + minor << 16)

    def _fifo(self, minor: int) -> wire.Spot:
        parent = self._bucket(minor).handle | INNER
        return wire.Spot(self._index, parent, self._major + FIFOS + minor << 16)
