"""What of an interface's settings stands between it and XDP in its driver: a sentence each, with what to do."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .object import Program

# Of the kernel's frozen ABI (linux/sockios.h, linux/ethtool.h).
_SIOCGIFMTU, _SIOCETHTOOL = 0x8921, 0x8946
_GET_FLAGS, _FLAG_LRO = 0x25, 1 << 15
_NAME_BYTES: Final = 16
# A frame without fragments shares its page with XDP's headroom and the kernel's notes on the packet.
_HEADROOM, _SHARED_INFO, _ETHERNET = 256, 320, 14
ONE_PAGE_MTU: Final = mmap.PAGESIZE - _HEADROOM - _SHARED_INFO - _ETHERNET


@dataclass(frozen=True, slots=True)
class Settings:
    interface: str
    mtu: int
    merges: bool  # LRO: the device makes one frame of several before XDP sees them


def settings(interface: str) -> Settings:
    """In the network namespace of this thread; a device that tells no flags merges nothing."""
    name = interface.encode().ljust(_NAME_BYTES, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        (mtu,) = struct.unpack_from("=i", fcntl.ioctl(asked, _SIOCGIFMTU, name + bytes(24)), _NAME_BYTES)
        return Settings(interface, mtu, bool(_flags(asked, name) & _FLAG_LRO))


def _flags(asked: socket.socket, name: bytes) -> int:
    question = ctypes.create_string_buffer(struct.pack("=II", _GET_FLAGS, 0), 8)
    try:
        fcntl.ioctl(asked, _SIOCETHTOOL, name + struct.pack("@P16x", ctypes.addressof(question)))
    except OSError:
        return 0
    return int(struct.unpack_from("=I", question.raw, 4)[0])


def sentences(program: Program, found: Settings) -> tuple[str, ...]:
    """None of them means that the driver refuses: it is asked, and they say why it did."""
    told = []
    if found.mtu > ONE_PAGE_MTU and not program.fragments:
        told.append(
            f"{found.interface} has an MTU of {found.mtu}, and {program.name} takes frames of one page: "
            f"lower the MTU to {ONE_PAGE_MTU}, or build the program as xdp.frags."
        )
    elif found.mtu > ONE_PAGE_MTU:
        told.append(
            f"{found.interface} has an MTU of {found.mtu}, and some drivers give XDP frames of one page only: "
            f"lower the MTU to {ONE_PAGE_MTU} where this one refuses."
        )
    if found.merges:
        told.append(
            f"{found.interface} makes one frame of several before XDP sees them (LRO): "
            f"switch that off (ethtool -K {found.interface} lro off)."
        )
    return tuple(told)
