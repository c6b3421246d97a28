"""Devices, qdiscs, classes and the filter of tier B, set up through pyroute2; never touches what is not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pyroute2 import IPRoute
from pyroute2.netlink.rtnl.tcmsg import plugins, sched_pfifo
from pyroute2.protocols import ETH_P_ALL

from sentinel_bpf.filters import Filters, Side
from sentinel_bpf.netlink import said

if TYPE_CHECKING:
    from sentinel_bpf.buffer.port import QueueClass

# pyroute2 0.9.7 knows no bfifo: without this it targets ROOT and drops `limit`, both silently.
plugins["bfifo"] = sched_pfifo

MTU_BYTES = 1600
TRUNK_MINOR = 1  # the class all others borrow from
FILTER_NAME = "sn_classify"
GUIDE_NAME = "sn_place"
ALIAS = "sentinel buffer"
ALIAS_CLSACT = "sentinel buffer, clsact made by it"


class Plumbing:
    """Netlink in the network namespace of the thread that opens it. `major` is the handle that marks our qdiscs."""

    def __init__(self, major: int) -> None:
        self._major = major
        self._route = IPRoute()

    def close(self) -> None:
        self._route.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- devices ----

    def index(self, name: str) -> int | None:
        found = self._route.link_lookup(ifname=name)
        return int(found[0]) if found else None

    def is_ifb(self, index: int) -> bool:
        link = self._link(index)
        info = link.get_attr("IFLA_LINKINFO")
        return bool(info) and info.get_attr("IFLA_INFO_KIND") == "ifb"

    def ensure_ifb(self, name: str) -> int:
        index = self.index(name)
        with said(f"creating {name}"):
            if index is None:
                self._route.link("add", ifname=name, kind="ifb")
                index = self.index(name)
                assert index is not None
                self._route.link("set", index=index, ifalias=ALIAS)
            self._route.link("set", index=index, state="up")
        return index

    def remove_link(self, index: int) -> None:
        with said("removing the queue's device"):
            self._route.link("del", index=index)

    def _link(self, index: int) -> Any:
        return self._route.get_links(index)[0]

    # ---- queue ----

    def root(self, index: int) -> tuple[str, int]:
        """Kind and major of the root qdisc; major 0 is the kernel's own default, which may be replaced."""
        for qdisc in self._qdiscs(index):
            if qdisc["parent"] == 0xFFFFFFFF:
                return str(qdisc.get_attr("TCA_KIND")), qdisc["handle"] >> 16
        return "noqueue", 0

    def waiting(self, index: int) -> int:
        """Packets in the device's queue: its root counts those of its leaves."""
        told = (each.get_attr("TCA_STATS2") for each in self._qdiscs(index))
        return max((int(each.get_attr("TCA_STATS_QUEUE")["qlen"]) for each in told if each is not None), default=0)

    def obstacle(self, index: int, name: str, kind: str) -> str:
        """What stands where our root of this kind would, or nothing."""
        found, major = self.root(index)
        if major == 0 or (found, major) == (kind, self._major):
            return ""
        if major == self._major:
            return f"{name} still has our queue of another tier ({found}); detach it first"
        return f"{name} has a foreign root qdisc {found} {major:x}:"

    def ensure_root(self, index: int, default_minor: int) -> None:
        if self.root(index)[1] == self._major:
            return
        with said("adding the HTB root"):
            self._route.tc("add", "htb", index, self._major << 16, default=default_minor)

    def ensure_guide(self, index: int, program_fd: int) -> None:
        """The one filter at our root, which tells HTB the class; an older one is replaced without a gap."""
        with said(f"filtering with {GUIDE_NAME}"):
            self._route.tc(
                "replace-filter", "bpf", index, 1, parent=self._major << 16, prio=1, protocol=ETH_P_ALL,
                fd=program_fd, name=GUIDE_NAME,
            )  # fmt: skip

    def add_root(self, index: int, kind: str) -> None:
        """For a kind without options, such as our own."""
        with said(f"adding the {kind} root"):
            self._route.tc("add", kind, index, self._major << 16)

    def ensure_trunk(self, index: int, rate: int) -> None:
        with said("setting the link's rate"):
            self._class(index, TRUNK_MINOR, self._major << 16, rate, rate, 0)

    def ensure_class(self, index: int, minor: int, wanted: QueueClass) -> None:
        guaranteed = max(1, wanted.guaranteed_bytes_per_s)
        with said(f"setting class {wanted.id}"):
            parent = self._major << 16 | TRUNK_MINOR
            self._class(index, minor, parent, guaranteed, wanted.ceiling_bytes_per_s, wanted.priority)

    def open_class(self, index: int, minor: int, rate: int) -> None:
        """Let a class send as fast as the device takes it, so that what waits is gone at once."""
        with said("draining the queue"):
            self._class(index, minor, self._major << 16 | TRUNK_MINOR, rate, rate, 0)

    def _class(self, index: int, minor: int, parent: int, rate: int, ceil: int, priority: int) -> None:
        two_ms = ceil // 500
        self._route.tc(
            "replace-class",
            "htb",
            index,
            self._major << 16 | minor,
            parent=parent,
            rate=rate,
            ceil=ceil,
            burst=max(2 * MTU_BYTES, rate // 500),
            cburst=max(2 * MTU_BYTES, two_ms),
            quantum=min(60_000, max(MTU_BYTES, rate // 1000)),
            prio=priority,
        )

    def remove_class(self, index: int, minor: int) -> None:
        with said("removing a class"):
            self._route.tc("del-class", index=index, handle=self._major << 16 | minor)

    def minors(self, index: int) -> set[int]:
        if self.root(index)[1] != self._major:
            return set()
        return {each["handle"] & 0xFFFF for each in self._route.get_classes(index)} - {TRUNK_MINOR}

    def remove_root(self, index: int) -> None:
        with said("removing the root qdisc"):
            self._route.tc("del", index=index, handle=self._major << 16, parent=0xFFFFFFFF)

    # ---- redirect ----

    def has_qdisc(self, index: int, kind: str) -> bool:
        return any(each.get_attr("TCA_KIND") == kind for each in self._qdiscs(index))

    def redirect(self, index: int, program_fd: int, queue_index: int) -> None:
        """Send what the classifier matches to the queue device; replaces an older classifier without a gap."""
        filters = self._filters(index)
        if filters.ensure_clsact():
            with said("naming the queue's device"):
                self._route.link("set", index=queue_index, ifalias=ALIAS_CLSACT)
        filters.put(
            program_fd,
            action={"kind": "mirred", "direction": "egress", "action": "redirect", "ifindex": queue_index},
        )

    def stop_redirect(self, index: int, queue_index: int) -> None:
        filters = self._filters(index)
        filters.remove()
        if self._link(queue_index).get_attr("IFLA_IFALIAS") == ALIAS_CLSACT:
            filters.remove_clsact_if_empty()

    def _filters(self, index: int) -> Filters:
        return Filters(self._route, index, Side.INGRESS, FILTER_NAME)

    def _qdiscs(self, index: int) -> list[Any]:
        return list(self._route.get_qdiscs(index=index))


def queue_device(device_index: int) -> str:
    """By index, since a name may be as long as a device name can be."""
    return f"sn-ifb{device_index}"
