"""One filter of ours at clsact, among whoever else uses it: told by its name, at a priority that nobody else has.

clsact belongs to everybody, and the kernel would let us write over a stranger's filter that has our priority and
handle. So a free priority is chosen: never 1, which others take for granted, and behind those that stand there now.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from pyroute2.protocols import ETH_P_ALL

from sentinel_api.errors import Unsupported

from .netlink import said

if TYPE_CHECKING:
    from pyroute2 import IPRoute

FIRST_PRIORITY: Final = 49_500  # who asks for none gets one from the kernel, 0xC000 at most: ours comes after
LAST_PRIORITY: Final = 0xFFFF
HANDLE: Final = 1


class Side(Enum):
    """TC_H_MAKE(TC_H_CLSACT, …) of the kernel's frozen ABI."""

    INGRESS = 0xFFFFFFF2
    EGRESS = 0xFFFFFFF3


@dataclass(frozen=True, slots=True)
class Place:
    """Where our filter stands among the others of its side."""

    priority: int
    handle: int


class Filters:
    """One side of a device's clsact; `name` is that of our filter there, and no one else's."""

    def __init__(self, route: IPRoute, index: int, side: Side, name: str) -> None:
        self._route = route
        self._index = index
        self._side = side
        self._name = name

    def ensure_clsact(self) -> bool:
        """Whether it had to be made."""
        standing = self._qdiscs()
        if "clsact" in standing:
            return False
        if "ingress" in standing:
            name = socket.if_indextoname(self._index)
            raise Unsupported(f"{name} has a foreign ingress qdisc where clsact would be; remove it to let us filter.")
        with said("adding clsact"):
            self._route.tc("add", "clsact", self._index)
        return True

    def ours(self) -> Place | None:
        for each in self._standing(self._side):
            options = each.get_attr("TCA_OPTIONS")
            if each["handle"] and options and options.get_attr("TCA_BPF_NAME") == self._name:
                return Place(each["info"] >> 16, each["handle"])
        return None

    def put(self, program_fd: int, **what: Any) -> bool:
        """In place of our earlier filter, so that no packet goes past both, or new. Whether it replaced one."""
        found = self.ours()
        place = found or Place(self._free_priority(), HANDLE)
        command = "replace-filter" if found else "add-filter"
        with said(f"filtering with {self._name}"):
            self._route.tc(
                command, "bpf", self._index, place.handle,
                parent=self._side.value, prio=place.priority, protocol=ETH_P_ALL,
                fd=program_fd, name=self._name, **what,
            )  # fmt: skip
        return found is not None

    def remove(self) -> bool:
        """Whether there was one."""
        place = self.ours()
        if place is None:
            return False
        with said(f"taking {self._name} away"):
            self._route.tc(
                "del-filter", "bpf", self._index, place.handle,
                parent=self._side.value, prio=place.priority, protocol=ETH_P_ALL,
            )  # fmt: skip
        return True

    def remove_clsact_if_empty(self) -> None:
        """For whoever made it: others may have come to use it since."""
        if "clsact" not in self._qdiscs() or any(self._standing(side) for side in Side):
            return
        with said("removing clsact"):
            self._route.tc("del", "clsact", self._index)

    def _free_priority(self) -> int:
        taken = {each["info"] >> 16 for each in self._standing(self._side)}
        free = (each for each in range(FIRST_PRIORITY, LAST_PRIORITY + 1) if each not in taken)
        found = next(free, None)
        if found is None:
            raise Unsupported(f"Among the filters no priority is free for {self._name}; remove some of them.")
        return found

    def _standing(self, side: Side) -> list[Any]:
        return list(self._route.get_filters(index=self._index, parent=side.value))

    def _qdiscs(self) -> set[str]:
        return {each.get_attr("TCA_KIND") for each in self._route.get_qdiscs(index=self._index)}
