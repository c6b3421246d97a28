"""The stamp every lab packet carries, and many packets a system call (sendmmsg, recvmmsg) without copying."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import socket

# due_ns is when the schedule asked for the packet, sent_ns when it really left: their distance is the sender's own lag.
STAMP = np.dtype([("stream", "u4"), ("_pad", "u4"), ("sequence", "u8"), ("due_ns", "u8"), ("sent_ns", "u8")])
MSG_DONTWAIT = 0x40


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)


class Batch:
    """`count` packets of up to `size` bytes in one block; `stamps` is a view of their first bytes."""

    def __init__(self, count: int, size: int) -> None:
        self.block: npt.NDArray[np.uint8] = np.zeros((count, size), dtype=np.uint8)
        self.stamps: npt.NDArray[Any] = self.block[:, : STAMP.itemsize].view(STAMP)[:, 0]
        self._iovecs = (_Iovec * count)()
        self._messages = (_Mmsghdr * count)()
        self._count = count
        start = self.block.ctypes.data
        for each in range(count):
            self._iovecs[each] = _Iovec(start + each * size, size)
            self._messages[each].header.iov = ctypes.pointer(self._iovecs[each])
            self._messages[each].header.iovlen = 1

    def send(self, through: socket.socket, count: int) -> int:
        """How many the kernel took; it may be fewer."""
        return _checked(_libc.sendmmsg(through.fileno(), self._messages, count, 0))

    def receive(self, through: socket.socket) -> int:
        """How many came; zero when none is waiting."""
        return _checked(_libc.recvmmsg(through.fileno(), self._messages, self._count, MSG_DONTWAIT, None))


class Datagrams:
    """What a stream of the lab's own sends: each packet says which it is, when it was due and when it left."""

    def __init__(self, count: int, size: int, stream: int) -> None:
        self.batch = Batch(count, size)
        self.batch.stamps["stream"] = stream

    def fill(self, first: int, due_ns: npt.NDArray[np.uint64]) -> int:
        """The next packets, from this one on; the instant they are stamped with."""
        stamps = self.batch.stamps[: due_ns.size]
        stamps["sequence"] = np.arange(first, first + due_ns.size)
        stamps["due_ns"] = due_ns
        stamped = time.monotonic_ns()
        stamps["sent_ns"] = stamped
        return stamped


def _checked(result: int) -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    if number in {errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ECONNREFUSED}:
        return 0
    raise OSError(number, os.strerror(number))
