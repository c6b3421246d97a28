"""Everything of ours in the kernel for one interface: loaded object, attached program, its tables.

It survives this process: tables and link are pinned, so a successor takes over without losing a packet, and what a
dead one wrote stays in force until its news are too old to count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from sentinel_bpf import attach, layout, pins
from sentinel_bpf import object as bpf_object
from sentinel_bpf.maps import cpus
from sentinel_bpf.ruleset import RuleSet
from sentinel_core.rules import compiled
from sentinel_lb.act.tables import Tables, load_balancer
from sentinel_mesh.membership import LATE_NS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
    from sentinel_bpf.object import Object

PROGRAM: Final = "sn_balance"
RINGS: Final = 32
"""Different sets of backends that VIPs may have, one less; a quarter of a megabyte each."""

SILENT_NS: Final = LATE_NS + 100_000_000
"""A state is told to the kernel by the next tick, so it is so much older there. Suspicions are told at once; this age
only counts when the control plane itself falls silent after the prober."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """The object to load, the folder for its pins, and the interface towards clients and nodes."""

    object_path: Path
    pins: Path
    interface: str

    @property
    def folder(self) -> Path:
        return pins.folder(self.pins, f"lb_{self.interface}", bpf_object.ABI_VERSION)

    @property
    def link(self) -> Path:
        return pins.link_path(self.folder, attach.Hook.XDP.value, self.interface)


class Plane:
    """Built by `open_plane`; written by one thread."""

    def __init__(self, place: Place, loaded: Object) -> None:
        self.place = place
        self.loaded = loaded
        self.tables = Tables(loaded)
        self.seen: NDArray[Any] = loaded.map("sn_seen").view()
        self.prober: NDArray[Any] = loaded.map("sn_prober").view(writable=True)
        self._rules = RuleSet(loaded)

    def classify(self, config: BalancerConfig) -> None:
        """The same rules as on the nodes, whose room is told by class."""
        self._rules.replace(compiled(config.traffic_classes, config.ids, "Ingress"))

    def cells(self, name: str) -> NDArray[Any]:
        """Counters of the map `name`, a row for each CPU."""
        return self.loaded.map(name).view().reshape(cpus(), -1)

    def close(self) -> None:
        """Let go of this process's hold only: what is pinned and attached goes on."""
        self.loaded.close()


def open_plane(place: Place) -> Plane:
    """Load or take over, and attach; packets are balanced from here on. Unsupported where a stranger is attached."""
    slots = layout.constants(place.object_path, "sn_lb_const")["SN_LB_SLOTS"]
    loaded = load_balancer(
        place.object_path,
        rodata={"sn_mesh_age_ns": SILENT_NS},
        pins=place.folder,
        max_entries={"sn_lb_rings": RINGS * slots},
    )
    plane = Plane(place, loaded)
    try:
        attached = attach.attach(loaded.program(PROGRAM), place.interface, attach.Hook.XDP, place.link)
    except BaseException:
        loaded.close()
        raise
    log.info("attached", interface=place.interface, mode=attached.mode.value, change=attached.change.value)
    return plane


def detach(place: Place) -> None:
    """Hand everything back: program off, pins removed."""
    attach.detach(place.link)
    for pin in sorted(place.folder.glob("*")):
        pins.drop(pin)
    pins.drop_empty(place.folder, place.pins)
