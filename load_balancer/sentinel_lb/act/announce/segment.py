"""On a segment: the address on our device, so that the stack answers who asks for it, and everybody told at once."""

from __future__ import annotations

import ipaddress
import socket
import struct
import time
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_lb.act.addresses import Addresses
from sentinel_lb.act.announce.rivals import Rivals

if TYPE_CHECKING:
    from collections.abc import Collection

    from sentinel_api.v1alpha1.balancerconfig import BalancerConfig

TELLINGS: Final = 3
GAP_NS: Final = 200_000_000
"""Said three times: a switch or host that was busy for one of them hears the next."""

AGAIN_NS: Final = 10_000_000_000
"""And again now and then: a neighbour may have learnt another balancer's word for it while we were away."""

PATIENCE_NS: Final = 3_000_000_000
"""Then an address is taken although somebody's kernel still answers for it: its process is gone, and its tables age."""

_BROADCAST: Final = b"\xff" * 6
_ALL_NODES: Final = ipaddress.ip_address("ff02::1")
_ARP, _IPV6, _ICMPV6, _NEIGHBOUR_ADVERTISEMENT = 0x0806, 0x86DD, 58, 136
_OVERRIDE: Final = 0x20000000

log = structlog.get_logger()


class Segment:
    """Of one device; used by one thread."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._mute = False
        self._rivals: Rivals | None = None
        self._elsewhere: dict[str, int] = {}
        """Since when others are known to have what we are to have."""
        self._addresses = Addresses(device)
        self._held = set(self._addresses.held())
        # Tellings left, and when the next is due; what a predecessor held may be believed to be elsewhere by now.
        self._owed: dict[str, tuple[int, int]] = dict.fromkeys(self._held, (TELLINGS, 0))

    def configure(self, config: BalancerConfig) -> None:
        """Nothing to be told: whatever is asked for is put on the device."""

    def announce(self, addresses: Collection[str], *, sure: bool = True) -> None:
        wanted = {str(ipaddress.ip_address(address)) for address in addresses}
        now_ns = time.monotonic_ns()
        for address in sorted(self._held - wanted):
            self._addresses.remove(address)
            self._held.discard(address)
            self._owed.pop(address, None)
            log.info("address_withdrawn", address=address)
        for address in self._free(wanted - self._held, now_ns, sure=sure):
            self._addresses.add(address)
            self._held.add(address)
            self._owed[address] = (TELLINGS, 0)
            log.info("address_announced", address=address, device=self._device)
        self._answer_rivals(now_ns)
        self._tell(now_ns)

    def withdraw(self) -> None:
        self.announce(())

    def _free(self, wanted: Collection[str], now_ns: int, *, sure: bool) -> list[str]:
        """Of these the ones that nobody else has. Where the mesh says that its holder is gone, and its kernel answers
        all the same, packets still find their way there: no haste."""
        self._elsewhere = {address: since for address, since in self._elsewhere.items() if address in wanted}
        if not wanted:
            return []
        holders = self._ear().holders(wanted)
        for address, mac in holders.items():
            if address not in self._elsewhere:
                log.info("address_held_by_another", address=address, mac=mac)
            self._elsewhere.setdefault(address, now_ns)
        return [
            address
            for address in sorted(wanted)
            if address not in holders or (sure and now_ns - self._elsewhere[address] >= PATIENCE_NS)
        ]

    def _answer_rivals(self, now_ns: int) -> None:
        """The last word must be ours."""
        if self._held:
            for address, mac in self._ear().to_answer(self._held, now_ns).items():
                log.info("address_claimed_by_another", address=address, mac=mac)
                self._owed[address] = (TELLINGS, now_ns)
        elif self._rivals is not None and not self._elsewhere:
            self._rivals.close()
            self._rivals = None

    def _ear(self) -> Rivals:
        if self._rivals is None:
            self._rivals = Rivals(self._device)
        return self._rivals

    def _tell(self, now_ns: int) -> None:
        due = [address for address, (_, when_ns) in self._owed.items() if now_ns >= when_ns]
        if not due:
            return
        try:
            self._send(due)
        except OSError as error:  # while the link is down they stay owed
            if not self._mute:
                log.warning("addresses_untold", device=self._device, error=str(error))
            self._mute = True
            return
        self._mute = False
        for address in due:
            left, _ = self._owed[address]
            self._owed[address] = (left - 1, now_ns + GAP_NS) if left > 1 else (1, now_ns + AGAIN_NS)

    def _send(self, addresses: Collection[str]) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((self._device, 0))
            mac = wire.getsockname()[4]
            for address in addresses:
                wire.send(gratuitous(address, mac))


def gratuitous(address: str, mac: bytes) -> bytes:
    """The frame by which neighbours learn that `address` is at `mac` now, though none of them asked."""
    packed = ipaddress.ip_address(address).packed
    if len(packed) == 4:
        # A request that names itself: hosts that ignore unasked answers update what they know by it (RFC 5227).
        request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + packed + bytes(6) + packed
        return _BROADCAST + mac + struct.pack("!H", _ARP) + request
    message = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE) + packed + b"\x02\x01" + mac
    everybody = _ALL_NODES.packed
    total = _sum(packed + everybody + struct.pack("!II", len(message), _ICMPV6) + message)
    message = message[:2] + struct.pack("!H", total) + message[4:]
    head = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255) + packed + everybody
    return b"\x33\x33\x00\x00\x00\x01" + mac + struct.pack("!H", _IPV6) + head + message


def _sum(raw: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(raw) // 2}H", raw))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
