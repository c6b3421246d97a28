"""sendmmsg: many datagrams with one system call, which Python's sockets do not offer."""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from numpy.typing import NDArray

NAME_BYTES: Final = 28  # of a struct sockaddr_in6, the larger of the two

AT_ONCE: Final = 512  # the kernel takes at most 1024
DONT_WAIT: Final = 0x40
# One destination that cannot be sent to must not keep the others from theirs.
_ITS_OWN: Final = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM, errno.ECONNREFUSED, errno.EINVAL, errno.EHOSTDOWN}
)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("length", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)


class Salvo:
    """Packets of one length to many destinations, laid out once and sent again and again; `packets` may be rewritten
    in between."""

    def __init__(self, packets: Sequence[bytes], destinations: Sequence[tuple[str, int]]) -> None:
        self.packets: NDArray[np.uint8] = np.array([np.frombuffer(each, np.uint8) for each in packets], np.uint8)
        self._names = ctypes.create_string_buffer(NAME_BYTES * len(packets))
        self._vectors = (_Vector * len(packets))()
        self._messages = (_Message * len(packets))()
        start, length = self.packets.ctypes.data, self.packets.shape[1]
        for index, (address, port) in enumerate(destinations):
            name = _sockaddr(address, port)
            place = ctypes.addressof(self._names) + NAME_BYTES * index
            ctypes.memmove(place, name, len(name))
            self._vectors[index] = _Vector(start + length * index, length)
            header = self._messages[index].header
            header.name, header.name_length = place, len(name)
            header.vectors, header.vector_count = ctypes.pointer(self._vectors[index]), 1

    def send(self, through: socket.socket) -> tuple[int, int]:
        """How many were sent, and how many could not be: those are lost, as any packet may be."""
        at = failed = 0
        count = len(self._messages)
        while at < count:
            many = min(AT_ONCE, count - at)
            sent = _libc.sendmmsg(through.fileno(), ctypes.byref(self._messages[at]), many, DONT_WAIT)
            if sent > 0:
                at += sent
                continue
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.ENOBUFS):
                return at - failed, count - at + failed
            if number not in _ITS_OWN:
                raise OSError(number, os.strerror(number))
            at, failed = at + 1, failed + 1
        return at - failed, failed


def _sockaddr(address: str, port: int) -> bytes:
    """Port 0 on raw sockets, where the protocol is the socket's own."""
    found = ipaddress.ip_address(address)
    if found.version == 4:
        return struct.pack("=H", 2) + struct.pack("!H", port) + found.packed + bytes(8)
    return struct.pack("=H", 10) + struct.pack("!HI", port, 0) + found.packed + struct.pack("=I", 0)
