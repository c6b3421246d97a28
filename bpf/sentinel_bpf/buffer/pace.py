"""How fast a queue of tier A lets go, whatever version made it: lifted while it runs empty, put back where that fails.

Three things hold in every version (`sentinel/qdisc.h` says so too): a slot is found by three words, the first word of
its drain is the link's rate, and the third of each class's share is that one's ceiling.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_bpf import pins
from sentinel_bpf.buffer import discipline
from sentinel_bpf.maps import Map, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SPOTS: Final = np.dtype([(name, "<u4") for name in ("netns", "ifindex", "parent")])
NUMBER: Final = np.dtype("<u4")
RATE_WORD: Final = 0
CEILING_WORD: Final = 2
LARGEST_PACKET_BYTES: Final = 1 << 16
SLOWEST_BYTES_PER_S: Final = 12_500  # whatever the words say


def folder(pins_of_all: Path, kind: str) -> Path:
    """Where the version of this kind pins."""
    return pins_of_all / f"v{kind.removeprefix(discipline.OPERATIONS)}"


@contextmanager
def lifted(pins_of_all: Path, kind: str, spot: Mapping[str, int]) -> Iterator[float]:
    """The queue at this spot sends as fast as its device takes it; what fails meanwhile finds it paced as before.

    Yields how long it may still send nothing: what was sent last holds the next one up at the old pace.
    """
    found = _paces(folder(pins_of_all, kind), spot)
    before = [each.copy() for each in found]
    slowest = min((max(SLOWEST_BYTES_PER_S, int(word)) for each in before for word in each if word), default=0)
    try:
        for each in found:
            each[...] = 0
        yield LARGEST_PACKET_BYTES / slowest if slowest else 0.0
    except BaseException:
        for each, words in zip(found, before, strict=True):
            each[...] = words
        raise


def _paces(where: Path, spot: Mapping[str, int]) -> list[NDArray[Any]]:
    """The words of a queue's rate and of its classes' ceilings, as the kernel reads them; none of an unknown queue."""
    slots = pins.find(where / "sn_slots")
    if slots is None:
        return []
    slot = Map("sn_slots", slots, SPOTS, NUMBER).get(spot)
    os.close(slots)
    drains, shares = _words(where, "sn_drains"), _words(where, "sn_shares")
    if slot is None or drains is None or shares is None:
        return []
    classes = len(shares) // len(drains)
    own = slice(int(slot) * classes, (int(slot) + 1) * classes)
    return [drains[slot : slot + 1, RATE_WORD], shares[own, CEILING_WORD]]


def _words(where: Path, name: str) -> NDArray[Any] | None:
    """A pinned array of a version that we have no layout of: a row of words for each entry."""
    descriptor = pins.find(where / name)
    if descriptor is None:
        return None
    try:
        entry = np.dtype([("words", "<u8", (Shape.of(descriptor).value_bytes // 8,))])
        found: NDArray[Any] = Map(name, descriptor, NUMBER, entry).view(writable=True)["words"]
    finally:
        os.close(descriptor)
    return found
