"""A detour around a device's root qdisc while that is exchanged: the kernel drops what arrives there meanwhile.

stack ─ sn_aside ─→ holding device ─ tbf ─→ its peer ─ sn_back ─→ the device's root

A token bucket without tokens is what holds: it lets go, in order, once it is given some. Both programs end with this
process. What is held at such a moment is lost; what comes after goes the usual way.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from sentinel_api.errors import SentinelError
from sentinel_bpf import attach, testrun
from sentinel_bpf import object as bpf_object
from sentinel_bpf.buffer import holding, wire
from sentinel_bpf.buffer.standing import wait_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from sentinel_bpf.buffer.port import Toll
    from sentinel_bpf.object import Object

OBJECT: Final = "aside.bpf.o"
FEW: Final = 8  # packets that may still be on their way back when the detour ends: they come a moment later than others
LEAST_BYTES_PER_S: Final = 12_500_000  # on the way back; the queue behind paces by itself
NEXT_TO_NOTHING: Final = 1  # byte a second: what is let go during an exchange would be held anew, behind all others
WHOLE_BYTES: Final = 1 << 18  # the largest aggregate passes as one
TRIES: Final = 2  # to let go: another may have had the kernel's lock for as long as we wait for an answer
SPENT: Final = bytes(2048)
HELD_BYTES: Final = 64 << 20  # half a second of 1 Gbit/s; what comes beyond that is dropped, and counted by the toll
ROOT: Final = 0xFFFFFFFF


@contextmanager
def around(objects: Path, device: int, rate_bytes_per_s: int, toll: Toll) -> Iterator[None]:
    """While it lasts nothing arrives at the device's root; at its end all that was held goes there, in its order.

    Where nothing can be led aside (no tcx, no veth, no Ethernet, or the kernel refuses) the exchange costs what it
    costs, and the toll says why. What fails at the end is told there too, for the exchange is done by then. `objects`:
    where they lie. Transient, before anything is changed: another process exchanges this device's root.
    """
    with ExitStack() as stack:
        stack.enter_context(holding.alone(device))
        try:
            stack.enter_context(_led_aside(objects / OBJECT, device, rate_bytes_per_s, toll))
        except SentinelError as refused:
            toll.add(0, f"nothing was led aside: {refused}")
        yield


@contextmanager
def _led_aside(path: Path, device: int, rate_bytes_per_s: int, toll: Toll) -> Iterator[None]:
    with bpf_object.load(path) as loaded, holding.devices(device, toll) as (held_in, back):
        _pace(held_in, NEXT_TO_NOTHING)
        loaded.map("sn_detour").put(0, device=device, holding=held_in, back=back)
        words = loaded.map("sn_detour").view(writable=True)
        _spend(loaded, WHOLE_BYTES // len(SPENT) + 1)
        missing = 0
        with _first(loaded, "sn_back", back, attach.Hook.TCX_INGRESS):
            with _first(loaded, "sn_aside", device, attach.Hook.TCX_EGRESS):
                try:
                    yield
                finally:
                    words["through"] = 1
                    _let_go(loaded, held_in, max(rate_bytes_per_s, LEAST_BYTES_PER_S), toll)
                    missing = _not_back(words)
                    wait_out(lambda: _held(words) - missing, least=FEW)
            _not_back(words, missing)
            lost = _held(words)
            if lost:
                toll.add(lost, f"{lost} packets that were led aside did not come back")


def _let_go(loaded: Object, held_in: int, rate_bytes_per_s: int, toll: Toll) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            _pace(held_in, rate_bytes_per_s)
            _spend(loaded, 1)  # a packet that arrives is what makes a bucket look at its tokens
        except SentinelError as refused:
            if attempt == TRIES:
                toll.add(0, f"what was held could not be let go: {refused}")
        else:
            return


def _not_back(words: NDArray[Any], missing: int = 0) -> int:
    """Of all that was led aside until now, and not known to be missing: how many do not come back any more."""
    expected = int(words["taken"][0]) - missing
    return wait_out(lambda: max(0, expected - int(words["returned"][0])))


def _spend(loaded: Object, packets: int) -> None:
    testrun.run_tc(loaded.program("sn_spend"), SPENT, repeat=packets)


def _held(words: NDArray[Any]) -> int:
    return int(words["taken"][0]) - int(words["returned"][0])


@contextmanager
def _first(loaded: Object, program: str, index: int, hook: attach.Hook) -> Iterator[None]:
    link = attach.first(loaded.program(program), index, hook)
    try:
        yield
    finally:
        os.close(link)


def _pace(index: int, rate_bytes_per_s: int) -> None:
    bucket = wire.paced(wire.Spot(index, ROOT, 1 << 16), HELD_BYTES, rate_bytes_per_s, WHOLE_BYTES)
    _, refused = wire.Rtnl().change([bucket], make=True)
    if refused:
        raise refused
