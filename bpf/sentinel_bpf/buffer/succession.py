"""A queue of tier A that code of another version left: ours takes its place under traffic, and nothing is lost.

redirect ─┬─ moved in one step ─→ our ifb ─────────────────────────────→ stack
          └╌╌ until then ╌╌╌╌╌╌─→ their ifb, set aside until it is empty ─→ stack

So where traffic comes in. On the way out the queue is the device's own root, and while the kernel exchanges that, it
drops what stands in it and what arrives: there all that leaves is led aside meanwhile (detour.py).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Self

import numpy as np
from pyroute2 import IPRoute

from sentinel_api.errors import Transient
from sentinel_bpf import pins
from sentinel_bpf.buffer import discipline, pace
from sentinel_bpf.buffer.standing import wait_out
from sentinel_bpf.maps import Map, Shape
from sentinel_bpf.netlink import said

ROOT: Final = 0xFFFFFFFF
ASIDE: Final = "o"  # behind the name of the queue's device, which is at most 13 characters long


def left_by_another(kind: str) -> bool:
    """Whether a discipline of this name is ours, but of another version."""
    return kind != discipline.KIND and re.fullmatch(rf"{discipline.OPERATIONS}\d+", kind) is not None


class Succession:
    """Of the queue device of this name, in the network namespace of the thread that opens it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._route = IPRoute()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._route.close()

    def next_to_one_aside(self) -> int:
        """The device that another version left, where yet an older one is set aside; 0 as a rule."""
        index = self._index(self._name)
        if index is None or self._index(self._name + ASIDE) is None:
            return 0
        return index if left_by_another(self._kind(index)) else 0

    def set_aside(self) -> None:
        """Make room for a device of ours. The redirect goes by number, so the queue goes on under its new name."""
        index = self._index(self._name)
        if index is None or not left_by_another(self._kind(index)):
            return
        if self._index(self._name + ASIDE) is not None:
            raise Transient(f"{self._name + ASIDE} still holds packets of an earlier version; try again")
        with said(f"setting {self._name} aside"):
            self._route.link("set", index=index, ifname=self._name + ASIDE)

    def inherit(self) -> None:
        """What the old device's alias says of clsact is true of the new one from now on."""
        old, new = self._index(self._name + ASIDE), self._index(self._name)
        if old is None or new is None:
            return
        alias = self._route.get_links(old)[0].get_attr("IFLA_IFALIAS")
        if alias:
            with said(f"naming {self._name}"):
                self._route.link("set", index=new, ifalias=alias)

    def finish(self, pins_of_all: Path) -> None:
        """Once nothing enters it any more: wait until what stood there is sent, and remove it. One that takes longer
        than our patience stays until the next time, since nobody's packets are worth less than our order."""
        index = self._index(self._name + ASIDE)
        if index is None:
            return
        kind = self._kind(index)
        if wait_out(lambda: self._waiting(index)):
            return
        with said(f"removing {self._name + ASIDE}"):
            self._route.link("del", index=index)
        unregister(pins_of_all, kind)

    def _index(self, name: str) -> int | None:
        found = self._route.link_lookup(ifname=name)
        return int(found[0]) if found else None

    def _kind(self, index: int) -> str:
        roots = (each for each in self._route.get_qdiscs(index=index) if each["parent"] == ROOT)
        return next((str(each.get_attr("TCA_KIND")) for each in roots), "")

    def _waiting(self, index: int) -> int:
        told = (each.get_attr("TCA_STATS2") for each in self._route.get_qdiscs(index=index))
        return sum(int(each.get_attr("TCA_STATS_QUEUE")["qlen"]) for each in told if each is not None)


def unregister_idle(pins_of_all: Path) -> None:
    """Disciplines of other versions without a queue, as one leaves behind that dies between taking such a queue away
    and giving its code up."""
    for each in sorted(pins_of_all.glob("v*")):
        unregister(pins_of_all, discipline.OPERATIONS + each.name.removeprefix("v"))


def unregister(pins_of_all: Path, kind: str) -> None:
    """The discipline of another version, once no queue of it stands here; those elsewhere keep its code."""
    with IPRoute() as route:
        if not left_by_another(kind) or any(each.get_attr("TCA_KIND") == kind for each in route.get_qdiscs()):
            return
    folder = pace.folder(pins_of_all, kind)
    if _elsewhere(folder):
        return
    operations = pins.find(folder / discipline.OPERATIONS)
    if operations is not None:
        value = np.dtype(f"V{Shape.of(operations).value_bytes}")
        Map(discipline.OPERATIONS, operations, np.dtype("<u4"), value).delete(0)
        os.close(operations)
    for pin in sorted(folder.glob("*")):
        pins.drop(pin)
    pins.drop_empty(folder, folder.parent)


def _elsewhere(folder: Path) -> bool:
    """Whether a place in another network namespace was given to a queue of it."""
    slots = pins.find(folder / "sn_slots")
    if slots is None:
        return False
    try:
        spots = list(Map("sn_slots", slots, pace.SPOTS, pace.NUMBER).keys())
    finally:
        os.close(slots)
    return any(int(each["netns"]) != netns() for each in spots)


def netns() -> int:
    """The inode of this thread's network namespace."""
    return Path("/proc/thread-self/ns/net").stat().st_ino
