"""A detour around a device's root qdisc while that is exchanged: the kernel drops what arrives there meanwhile.

stack ─ sn_aside ─→ holding device ─ tbf ─→ its peer ─ sn_back ─→ the device's root

A token bucket without tokens is what holds: it lets go, in order, once it is given some. Both programs end with this
process. What is held at such a moment is lost; what comes after goes the usual way.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from pyroute2 import IPRoute

from sentinel_api.errors import Unsupported
from sentinel_bpf import attach, testrun
from sentinel_bpf import object as bpf_object
from sentinel_bpf.buffer import wire
from sentinel_bpf.buffer.standing import wait_while
from sentinel_bpf.netlink import said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from sentinel_bpf.object import Object

OBJECT: Final = "aside.bpf.o"
FEW: Final = 8  # packets that may still be on their way back when the detour ends: they come a moment later than others
LEAST_BYTES_PER_S: Final = 12_500_000  # on the way back; the queue behind paces by itself
NEXT_TO_NOTHING: Final = 1000  # bytes a second: a packet in a second is less than any exchange takes
WHOLE_BYTES: Final = 1 << 18  # the largest aggregate passes as one
PATIENCE_S: Final = 10.0
LOOK_S: Final = 0.0005
SPENT: Final = bytes(2048)
HELD_BYTES: Final = 64 << 20
ROOT: Final = 0xFFFFFFFF
ETHERNET: Final = 1


@contextmanager
def around(objects: Path, device: int, rate_bytes_per_s: int) -> Iterator[None]:
    """While it lasts nothing arrives at the device's root; at its end all that was held goes there, in its order.

    Where none can be led aside (no tcx, no veth, no Ethernet) it costs what it costs. `objects`: where they lie.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(_led_aside(objects / OBJECT, device, rate_bytes_per_s))
        except Unsupported:
            stack.close()
        yield


@contextmanager
def _led_aside(path: Path, device: int, rate_bytes_per_s: int) -> Iterator[None]:
    with bpf_object.load(path) as loaded, _devices(device) as (holding, back):
        loaded.map("sn_detour").put(0, device=device, holding=holding, back=back)
        words = loaded.map("sn_detour").view(writable=True)
        _spend(loaded, WHOLE_BYTES // len(SPENT) + 1)
        with _first(loaded, "sn_back", back, attach.Hook.TCX_INGRESS):
            with _first(loaded, "sn_aside", device, attach.Hook.TCX_EGRESS):
                try:
                    yield
                finally:
                    words["through"] = 1
                    _pace(holding, max(rate_bytes_per_s, LEAST_BYTES_PER_S))
                    _spend(loaded, 1)  # a packet that arrives is what makes a bucket look at its tokens
                    _wait_for(int(words["taken"][0]), words)
                    wait_while(lambda: _held(words) > FEW)
            _wait_for(int(words["taken"][0]), words)


def _spend(loaded: Object, packets: int) -> None:
    testrun.run_tc(loaded.program("sn_spend"), SPENT, repeat=packets)


def _wait_for(count: int, words: NDArray[Any]) -> None:
    """Until so many came back, or for long none does: then the holding device had no room for the others."""
    seen, deadline = -1, 0.0
    while (returned := int(words["returned"][0])) < count:
        now = time.monotonic()
        if returned != seen:
            seen, deadline = returned, now + PATIENCE_S
        elif now >= deadline:
            return
        time.sleep(LOOK_S)


def _held(words: NDArray[Any]) -> int:
    return int(words["taken"][0]) - int(words["returned"][0])


@contextmanager
def _first(loaded: Object, program: str, index: int, hook: attach.Hook) -> Iterator[None]:
    link = attach.first(loaded.program(program), index, hook)
    try:
        yield
    finally:
        os.close(link)


@contextmanager
def _devices(device: int) -> Iterator[tuple[int, int]]:
    """The holding device and its peer; who died in the middle left them."""
    holding, back = f"sn-h{device}", f"sn-b{device}"
    with IPRoute() as route:
        _remove(route, holding)
        link = route.get_links(device)[0]
        if link["ifi_type"] != ETHERNET:
            raise Unsupported("what leaves without a link header cannot be led through a veth")
        with said(f"creating {holding}"):
            route.link("add", ifname=holding, kind="veth", peer={"ifname": back})
        try:
            found = tuple(int(route.link_lookup(ifname=name)[0]) for name in (holding, back))
            for each in found:
                with said(f"setting {holding} up"):
                    route.link("set", index=each, mtu=link.get_attr("IFLA_MTU"), state="up")
            _pace(found[0], NEXT_TO_NOTHING)
            yield found[0], found[1]
        finally:
            _remove(route, holding)


def _pace(index: int, rate_bytes_per_s: int) -> None:
    bucket = wire.paced(wire.Spot(index, ROOT, 1 << 16), HELD_BYTES, rate_bytes_per_s, WHOLE_BYTES)
    _, refused = wire.Rtnl().change([bucket], make=True)
    if refused:
        raise refused


def _remove(route: IPRoute, name: str) -> None:
    for index in route.link_lookup(ifname=name):
        with said(f"removing {name}"):
            route.link("del", index=index)
