"""A queue of tier A that code of another version left: ours takes its place under traffic, and nothing is lost.

redirect ─┬─ moved in one step ─→ our ifb ─────────────────────────────→ stack
          └╌╌ until then ╌╌╌╌╌╌─→ their ifb, set aside until it is empty ─→ stack

So where traffic comes in. On the way out the queue is the device's own root, and while the kernel exchanges that, it
drops what stands in it and what arrives: there all that leaves is led aside meanwhile (detour.py).
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from pyroute2 import IPRoute

from sentinel_bpf import pins
from sentinel_bpf.buffer import discipline
from sentinel_bpf.maps import Map, Shape
from sentinel_bpf.netlink import said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROOT: Final = 0xFFFFFFFF
ASIDE: Final = "o"  # behind the name of the queue's device, which is at most 13 characters long
PATIENCE_S: Final = 30.0
LOOK_S: Final = 0.005


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

    def set_aside(self) -> None:
        """Make room for a device of ours. The redirect goes by number, so the queue goes on under its new name."""
        index = self._index(self._name)
        if index is None or not left_by_another(self._kind(index)) or self._index(self._name + ASIDE) is not None:
            return
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
        deadline = time.monotonic() + PATIENCE_S
        while self._waiting(index):
            if time.monotonic() >= deadline:
                return
            time.sleep(LOOK_S)
        with said(f"removing {self._name + ASIDE}"):
            self._route.link("del", index=index)
        unregister(pins_of_all, kind)

    def _index(self, name: str) -> int | None:
        found = self._route.link_lookup(ifname=name)
        return int(found[0]) if found else None

    def _kind(self, index: int) -> str:
        roots = (each for each in self._route.get_qdiscs(index=index) if each["parent"] == ROOT)
        return next((str(each.get_attr("TCA_KIND")) for each in roots), "")

    def _waiting(self, index: int) -> bool:
        told = (each.get_attr("TCA_STATS2") for each in self._route.get_qdiscs(index=index))
        return any(each.get_attr("TCA_STATS_QUEUE")["qlen"] for each in told if each is not None)


def hasten(pins_of_all: Path, kind: str, spot: Mapping[str, int]) -> None:
    """Let the queue of another version at this spot empty as fast as the device takes it. That a slot is found by three
    words, and that its rate is the first word of its drain, holds in every version."""
    folder = pins_of_all / f"v{kind.removeprefix(discipline.OPERATIONS)}"
    slots, drains = pins.find(folder / "sn_slots"), pins.find(folder / "sn_drains")
    if slots is not None and drains is not None:
        spots = np.dtype([(name, "<u4") for name in ("netns", "ifindex", "parent")])
        slot = Map("sn_slots", slots, spots, np.dtype("<u4")).get(spot)
        words = np.dtype(("<u8", Shape.of(drains).value_bytes // 8))
        if slot is not None:
            table = Map("sn_drains", drains, np.dtype("<u4"), np.dtype([("words", words)]))
            found = table.get(int(slot))["words"].copy()
            found[0] = 0
            table.put(int(slot), words=found)
    for each in (slots, drains):
        if each is not None:
            os.close(each)


def unregister(pins_of_all: Path, kind: str) -> None:
    """The discipline of another version, once no queue of it stands here; those elsewhere keep its code."""
    with IPRoute() as route:
        if not left_by_another(kind) or any(each.get_attr("TCA_KIND") == kind for each in route.get_qdiscs()):
            return
    folder = pins_of_all / f"v{kind.removeprefix(discipline.OPERATIONS)}"
    operations = pins.find(folder / discipline.OPERATIONS)
    if operations is not None:
        value = np.dtype(f"V{Shape.of(operations).value_bytes}")
        Map(discipline.OPERATIONS, operations, np.dtype("<u4"), value).delete(0)
        os.close(operations)
    for pin in sorted(folder.glob("*")):
        pins.drop(pin)
    pins.drop_empty(folder, folder.parent)
