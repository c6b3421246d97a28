"""The queueing discipline of tier A in the kernel: registered once a node, pinned, and shared by all of its queues.

A registered discipline outlives the process that loaded it, and its name can be registered only once. So whoever comes
later finds the pinned maps and works with the code that runs; only when the last queue is given up does it go.
"""

from __future__ import annotations

import errno
import fcntl
import os
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Transient, Unsupported
from sentinel_bpf import layout, pins, probe
from sentinel_bpf import object as bpf_object
from sentinel_bpf.maps import Map

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sentinel_bpf.layout import Dtype

OPERATIONS: Final = "sn_buffer"  # the map that holds them
VERSION: Final = 2  # SN_QDISC_VERSION: of what the discipline reads in its maps and in packets
KIND: Final = f"{OPERATIONS}{VERSION}"  # what tc calls it: a name can be registered only once
_IN_USE: Final = 1  # enum bpf_struct_ops_state: registered
_STATE: Final = slice(4, 8)  # of struct bpf_struct_ops_common_value: refcnt, state


def folder(where: Path = probe.BPFFS) -> Path:
    """Not an agent's own folder: the name is the node's, whoever steers a queue."""
    return pins.folder(where, "qdisc", VERSION)


class Discipline:
    """Its maps, and who has which slot. Made by `open_discipline`."""

    def __init__(self, path: Path, where: Path, maps: Mapping[str, Map]) -> None:
        known = layout.constants(path, "sn_qdisc_const")
        self._where = where
        self._maps = maps
        self._slots: Final = known["SN_QDISC_SLOTS"]
        weakref.finalize(self, _close, [each.descriptor for each in maps.values()])

    def map(self, name: str) -> Map:
        return self._maps[name]

    @property
    def spot_type(self) -> Dtype:
        return self._maps["sn_slots"].key

    def slot(self, spot: Mapping[str, int]) -> int:
        """The slot of the queue that stands at this spot or will; the kernel takes no queue for which there is none."""
        with _alone(self._where):
            return self._slot(spot)

    def _slot(self, spot: Mapping[str, int]) -> int:
        table = self._maps["sn_slots"]
        found = table.get(spot)
        if found is not None:
            return int(found)
        spots, used = table.dump()
        for free in set(range(self._slots)) - set(used.tolist()):
            return self._given(free, spot)
        for gone, slot in zip(spots, used.tolist(), strict=True):
            if not self._taken(slot):  # its device went away, and the queue with it
                table.delete(gone)
                return self._given(slot, spot)
        raise Transient(f"this node has {self._slots} queues already; detach one")

    def _given(self, slot: int, spot: Mapping[str, int]) -> int:
        self._maps["sn_banks"].put(slot)
        self._maps["sn_slots"].put(spot, slot)
        return slot

    def _taken(self, slot: int) -> bool:
        return bool(self._maps["sn_banks"].get(slot)["taken"])

    def release(self, spot: Mapping[str, int]) -> None:
        """Once its queue is gone. The last one takes the discipline with it."""
        table = self._maps["sn_slots"]
        with _alone(self._where):
            table.delete(spot)
            if any(self._taken(int(slot)) for slot in table.dump()[1]):
                return
            self._maps[OPERATIONS].delete(0)
            for pin in sorted(self._where.iterdir()):
                pins.drop(pin)


def open_discipline(path: Path, where: Path) -> Discipline:
    """Take over what is registered, or load and register it. Unsupported: the kernel cannot, or another was first."""
    standing = _standing(path, where)
    if standing is not None:
        return Discipline(path, where, standing)
    for pin in where.glob("*"):  # of a loader that died half way
        pins.drop(pin)
    pins.mount()
    with bpf_object.load(path, bpf_object.Options(pins=where)) as loaded:
        try:
            loaded.register(OPERATIONS)
        except OSError as refused:
            for pin in where.glob("*"):
                pins.drop(pin)
            if refused.errno != errno.EEXIST:
                raise Unsupported(f"the kernel does not register {KIND}: {refused.strerror}") from refused
            raise Unsupported(
                f"a discipline named {KIND} is registered whose maps are not in {where}; detach what runs it"
            ) from refused
    standing = _standing(path, where)
    if standing is None:
        raise Transient(f"{KIND} was given up while it was being loaded; try again")
    return Discipline(path, where, standing)


def give_up(path: Path, where: Path, spot: Mapping[str, int]) -> None:
    """The place of a queue that is gone or never came to stand there, where the discipline is registered at all."""
    standing = _standing(path, where) if path.exists() and (where / OPERATIONS).exists() else None
    if standing is not None:
        Discipline(path, where, standing).release(spot)


def _standing(path: Path, where: Path) -> dict[str, Map] | None:
    """The pinned maps of a discipline that is registered now; the caller owns their descriptors."""
    found: dict[str, Map] = {}
    for name, (key, value) in bpf_object.described(path).items():
        descriptor = pins.find(where / name)
        if descriptor is None:
            break
        found[name] = Map(name, descriptor, key, value)
    else:
        if _registered(found[OPERATIONS]):
            return found
    _close([each.descriptor for each in found.values()])
    return None


def _registered(operations: Map) -> bool:
    return int.from_bytes(operations.get(0).tobytes()[_STATE], "little") == _IN_USE


@contextmanager
def _alone(where: Path) -> Iterator[None]:
    """No other thread or process of this node gives or takes slots meanwhile."""
    folder = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _close(descriptors: list[int]) -> None:
    for each in descriptors:
        os.close(each)
