"""Our addresses on a device, by plain netlink: each carries a protocol number that says who put it there.

pyroute2 has no word for that number, and without it an address of somebody else could be taken away.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from contextlib import closing
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Transient, Unsupported
from sentinel_bpf.attach import interface_index

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS: Final = 0x5E
"""IFA_PROTO; the kernel itself uses 1 to 3."""

_NEW, _DELETE, _GET = 20, 21, 22  # RTM_…ADDR
_REQUEST, _ACK, _CREATE, _REPLACE, _DUMP = 0x1, 0x4, 0x400, 0x100, 0x300
_ERROR, _DONE = 2, 3
_ADDRESS, _LOCAL, _CACHE, _FLAGS, _PROTO = 1, 2, 6, 8, 11  # IFA_…
_NO_DAD = 0x02
_HEADER = struct.Struct("=IHHII")
_BODY = struct.Struct("=BBBBI")  # family, prefix, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")
_FOREVER = 0xFFFFFFFF


class Addresses:
    """Of one device, in the network namespace of the process."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._index = interface_index(device)

    def held(self) -> frozenset[str]:
        """Those that we put there, or a predecessor."""
        found = set()
        for kind, payload in self._asked(_GET, _BODY.pack(socket.AF_UNSPEC, 0, 0, 0, 0), _DUMP):
            index = _BODY.unpack_from(payload)[4]
            told = _attributes(payload[_BODY.size :])
            if kind == _NEW and index == self._index and told.get(_PROTO) == bytes([OURS]):
                found.add(str(ipaddress.ip_address(told.get(_LOCAL) or told[_ADDRESS])))
        return frozenset(found)

    def add(self, address: str) -> None:
        """Alone in its prefix, and never chosen as a source by the stack: over IPv6 it is deprecated from the start."""
        self._change(_NEW, address, _CREATE | _REPLACE)

    def remove(self, address: str) -> None:
        self._change(_DELETE, address, 0)

    def _change(self, kind: int, address: str, flags: int) -> None:
        packed = ipaddress.ip_address(address).packed
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        body = _BODY.pack(family, 8 * len(packed), _NO_DAD if len(packed) == 16 else 0, 0, self._index)
        body += _attribute(_LOCAL, packed) + _attribute(_ADDRESS, packed) + _attribute(_PROTO, bytes([OURS]))
        if kind == _NEW and len(packed) == 16:
            body += _attribute(_CACHE, struct.pack("=IIII", 0, _FOREVER, 0, 0))
        for _ in self._asked(kind, body, flags | _ACK):
            pass

    def _asked(self, kind: int, body: bytes, flags: int) -> Iterator[tuple[int, bytes]]:
        with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as asking:
            asking.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)
            while True:
                for told, payload in _messages(asking.recv(1 << 16)):
                    if told == _DONE:
                        return
                    if told == _ERROR:
                        self._raise_for(kind, -struct.unpack_from("=i", payload)[0])
                        return
                    yield told, payload

    def _raise_for(self, kind: int, number: int) -> None:
        gone = kind == _DELETE and number in (errno.EADDRNOTAVAIL, errno.ENODEV)
        if not number or gone or (kind == _NEW and number == errno.EEXIST):
            return
        if number == errno.EPERM:
            raise Unsupported(f"addresses of {self.device} may not be changed; CAP_NET_ADMIN is needed.")
        raise Transient(f"an address of {self.device} could not be changed just now ({os.strerror(number)}).")


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _attributes(raw: bytes) -> dict[int, bytes]:
    found = {}
    while len(raw) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(raw)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = raw[_ATTRIBUTE.size : length]
        raw = raw[length + -length % 4 :]
    return found


def _messages(raw: bytes) -> Iterator[tuple[int, bytes]]:
    while len(raw) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(raw)
        yield kind, raw[_HEADER.size : length]
        raw = raw[length + -length % 4 :]
