"""Where a queue of ours stands, what may be in its way, and how it is let run empty: the same in tiers A and B."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_bpf.buffer.plumbing import queue_device
from sentinel_bpf.buffer.port import Direction, check_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sentinel_bpf.buffer.plumbing import Plumbing
    from sentinel_bpf.buffer.port import Interface, QueueClass

STALL_S: Final = 2.0  # that nothing moves: the device stands still, or what is missing is lost
PATIENCE_S: Final = 8.0  # in all, while it does move: an agent is given ten seconds to end
LOOK_S: Final = 0.001
LONGEST_STEP_S: Final = 0.05


class Stand:
    """One interface and direction, for a root qdisc of `kind`: the device itself, or the ifb behind its ingress."""

    def __init__(self, interface: Interface, kind: str, succeeds: Callable[[str], bool] = lambda _kind: False) -> None:
        """`succeeds`: which other kinds this one may take down, and whose place it takes."""
        self._interface = interface
        self._kind = kind
        self._succeeds = succeeds
        self.ingress: Final = interface.direction is Direction.INGRESS

    def obstacle(self, plumbing: Plumbing) -> str:
        """Why no queue can stand here, or nothing."""
        name = self._interface.name
        index = plumbing.index(name)
        if index is None:
            return f"there is no interface {name} on this node"
        if self._interface.rate_bytes_per_s <= 0:
            return f"{name} has no rate, so nothing would ever queue; set rateBitsPerSecond"
        if not self.ingress:
            return self._foreign_root(plumbing, index, name)
        if plumbing.has_qdisc(index, "ingress"):
            return f"{name} has a foreign ingress qdisc"
        return self._foreign_queue(plumbing, queue_device(index))

    def _foreign_queue(self, plumbing: Plumbing, name: str) -> str:
        queue = plumbing.index(name)
        if queue is None:
            return ""
        if not plumbing.is_ifb(queue):
            return f"{name} is not an ifb device"
        return self._foreign_root(plumbing, queue, name)

    def _foreign_root(self, plumbing: Plumbing, index: int, name: str) -> str:
        kind, _ = plumbing.root(index)
        return plumbing.obstacle(index, name, kind if self._succeeds(kind) else self._kind)

    def check(self, classes: Sequence[QueueClass]) -> None:
        check_classes(classes)
        if sum(each.guaranteed_bytes_per_s for each in classes) > self._interface.rate_bytes_per_s:
            raise Invalid("the classes' guaranteed rates add up to more than the interface's rate")

    def ready(self, plumbing: Plumbing) -> tuple[int, int]:
        """The interface, and the device whose root is to be the queue."""
        obstacle = self.obstacle(plumbing)
        if obstacle:
            raise Invalid(f"cannot queue: {obstacle}")
        device = plumbing.index(self._interface.name)
        assert device is not None
        return device, plumbing.ensure_ifb(queue_device(device)) if self.ingress else device

    def found(self, plumbing: Plumbing, major: int) -> tuple[int, int] | None:
        """The same two where our queue stands there now, or one whose place it takes."""
        device = plumbing.index(self._interface.name)
        queue = plumbing.index(queue_device(device)) if self.ingress and device is not None else device
        if device is None or queue is None:
            return None
        kind, whose = plumbing.root(queue)
        return (device, queue) if whose == major and (kind == self._kind or self._succeeds(kind)) else None

    def remove(self, plumbing: Plumbing, queue: int) -> None:
        if self.ingress:
            plumbing.remove_link(queue)
        else:
            plumbing.remove_root(queue)


def wait_out(left: Callable[[], int], least: int = 0, pace_s: float = 0.0) -> int:
    """Until no more than `least` are left, and how many are then: as long as they become fewer, within our patience.

    `pace_s`: how long one may hold the next one up, and all be well. A process that was given no processor has not
    waited: a look that comes late counts as a step of LONGEST_STEP_S.
    """
    idle = waited = 0.0
    fewest = now = left()
    last = time.monotonic()
    while now > least and idle < STALL_S + pace_s and waited < PATIENCE_S:
        time.sleep(LOOK_S)
        at = time.monotonic()
        step, last = min(at - last, LONGEST_STEP_S), at
        waited += step
        now = left()
        idle = 0.0 if now < fewest else idle + step
        fewest = min(fewest, now)
    return now
