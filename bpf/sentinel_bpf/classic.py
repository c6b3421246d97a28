"""What stands in for tcx before Linux 6.6: a cls_bpf filter at clsact, with the same promises as a pinned link.

A filter has no link. What a link's pin would tell is told by pins of the program: `PIN:IFINDEX:SIDE` says that our
filter is there, and `PIN:IFINDEX:SIDE:clsact` that clsact was made for it. Device names have no colon, so that no pin
of a link is met.
"""

from __future__ import annotations

import glob
import os
import socket
from typing import TYPE_CHECKING, Final

from pyroute2 import IPRoute

from sentinel_api.errors import SentinelError

from . import libbpf, pins
from .filters import Filters, Side

if TYPE_CHECKING:
    from pathlib import Path

    from .object import Program

_MADE: Final = ":clsact"


def attach(program: Program, index: int, side: Side, pin: Path) -> bool:
    """Whether an earlier filter of ours was replaced; for packets that is one step, at the place it had.

    Pinned first, so that whoever dies in between leaves nothing that `detach` would not find.
    """
    here = pin.with_name(f"{pin.name}:{index}:{side.name}")
    if any(each != here for each in _found(pin)):
        detach(pin)  # of a device that went away, and came back under another index
    with IPRoute() as route:
        filters = Filters(route, index, side, program.name)
        pins.put(program.descriptor, here)
        try:
            if filters.ensure_clsact():
                pins.put(program.descriptor, _made(here))
            return filters.put(program.descriptor, direct_action=True)
        except SentinelError:
            detach(pin)
            raise


def detach(pin: Path) -> bool:
    """Whether there was a filter of ours; one that somebody else removed counts as none."""
    gone = False
    for here in _found(pin):
        index, side = here.name.split(":")[-2:]
        if _exists(int(index)):
            gone = _remove(int(index), Side[side], here) or gone
        pins.drop(_made(here))
        pins.drop(here)
    return gone


def ours(pin: Path) -> int | None:
    """The id of the program in our filter."""
    return next((told.id for told in map(_told, _found(pin))), None)


def _remove(index: int, side: Side, here: Path) -> bool:
    with IPRoute() as route:
        filters = Filters(route, index, side, _told(here).name.decode())
        gone = filters.remove()
        if _made(here).exists():
            filters.remove_clsact_if_empty()
    return gone


def _told(here: Path) -> libbpf.ProgInfo:
    program = pins.find(here)
    assert program is not None
    try:
        told: libbpf.ProgInfo = libbpf.info(libbpf.ProgInfo, program)
        return told
    finally:
        os.close(program)


def _made(here: Path) -> Path:
    return here.with_name(here.name + _MADE)


def _found(pin: Path) -> list[Path]:
    those = pin.parent.glob(f"{glob.escape(pin.name)}:*")
    return [each for each in those if each.name.endswith(tuple(Side.__members__))]


def _exists(index: int) -> bool:
    try:
        socket.if_indextoname(index)
    except OSError:
        return False
    return True
