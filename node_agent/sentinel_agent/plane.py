"""Everything of ours in the kernel for one interface: loaded object, attached programs, rules, queue.

It survives this process: maps and links are pinned, so a successor takes over without losing a packet, and orders run
out by themselves when nobody renews them.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_agent.act.peers import Peers
from sentinel_agent.decide.policy import least_limit
from sentinel_api.errors import Unsupported
from sentinel_api.v1alpha1.profiles import PROFILES
from sentinel_bpf import attach, pins
from sentinel_bpf import object as bpf_object
from sentinel_bpf.agent import SHARDED
from sentinel_bpf.buffer import choice, discipline, holding
from sentinel_bpf.buffer import programs as queue_programs
from sentinel_bpf.buffer.observe import ObserveBuffer
from sentinel_bpf.buffer.plumbing import Plumbing, queue_device
from sentinel_bpf.buffer.port import UNMATCHED, Buffer, Direction, Interface, QueueClass, Tier, Toll, Verdict
from sentinel_bpf.buffer.qdisc import Home
from sentinel_bpf.buffer.succession import ASIDE
from sentinel_bpf.buffer.wire import largest_frame
from sentinel_bpf.ruleset import RuleSet
from sentinel_core.rules import compiled

if TYPE_CHECKING:
    from pathlib import Path

    from sentinel_api.v1alpha1.nodeconfig import NodeConfig
    from sentinel_bpf.object import Object

HOOKS: Final = {
    Direction.INGRESS: {attach.Hook.XDP: "sn_ingress"},
    Direction.EGRESS: {attach.Hook.XDP: "sn_ingress", attach.Hook.TCX_EGRESS: "sn_egress"},
}
"""Which programs hang where; on the way out, XDP still learns the flows that the leaving packets answer."""

QUEUE_DEVICES: Final = queue_device(0).removesuffix("0")
LEAST_FLOWS: Final = 1024  # what the specification allows at least

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the plane stands: the object to load, the folder for its pins, and the interface."""

    object_path: Path
    pins: Path
    interface: Interface
    allow_generic: bool = True
    sharers: int = 1
    """Interfaces that share the node's flow tables between them."""


class Plane:
    """Built by `open_plane`. Its counters may be read and its queue moved by the tick's thread only."""

    def __init__(self, place: Place, loaded: Object, verdict: Verdict, buffer: Buffer) -> None:
        self.place = place
        self.loaded = loaded
        self.verdict = verdict
        self.buffer = buffer
        self.rules = RuleSet(loaded)
        self._peers = Peers(loaded)

    @property
    def enforcing(self) -> bool:
        return self.verdict.tier is not Tier.OBSERVE

    @property
    def frame_bytes(self) -> int:
        """The largest that the device takes now."""
        return largest_frame(self.place.interface.name)

    def configure(self, config: NodeConfig) -> None:
        """Rules and classes of a new configuration, under traffic: classes that stay keep what waits in them."""
        ids = config.ids
        self.rules.replace(compiled(config.traffic_classes, ids, "Ingress"))
        self._peers.replace(config.balancers)
        classes = queue_classes(config, self.place.interface.rate_bytes_per_s, self.frame_bytes)
        self._tell(self.buffer.configure(classes))

    def detach(self) -> None:
        """Hand everything back: queue drained and gone, programs off, pins removed."""
        self._tell(self.buffer.detach())
        for hook in HOOKS[Direction.EGRESS]:
            attach.detach(_link(self.place, hook))
        _unpin(self.place)

    def close(self) -> None:
        """Let go of this process's hold only: what is pinned and attached stays for the successor."""
        self.loaded.close()

    def _tell(self, toll: Toll) -> None:
        if toll.why:
            log.warning("queue_exchange_cost", packets=toll.packets, why="; ".join(toll.why))

    @property
    def _folder(self) -> Path:
        return _folder(self.place)


def open_plane(place: Place, config: NodeConfig) -> Plane:
    """Load or take over, attach, and queue as far as this node can; the verdict says how far and why."""
    swept(place)
    loaded = bpf_object.load(place.object_path, _options(place, config))
    buffer: Buffer
    try:
        _attach(place, loaded)
        buffer, verdict = _queue(place, loaded, config)
    except Unsupported as reason:
        verdict = Verdict(Tier.OBSERVE, str(reason))
        buffer = ObserveBuffer(str(reason))
    drop_other_versions(place)
    plane = Plane(place, loaded, verdict, buffer)
    plane.configure(config)
    log.info("plane_ready", tier=verdict.tier.value, why=verdict.why)
    return plane


def forget(place: Place) -> None:
    """Of an interface that is gone: its queue, and whatever was pinned for it."""
    swept(place)
    drop_other_versions(place)
    _unpin(place)


def _unpin(place: Place) -> None:
    folder = _folder(place)
    for pin in sorted(folder.glob("*")):
        pins.drop(pin)
    pins.drop_empty(folder, place.pins)


def swept(place: Place) -> None:
    """Take over links that an agent of another ABI version pinned, and remove queues of devices that are gone."""
    root = _folder(place).parent
    for hook in HOOKS[Direction.EGRESS]:
        own = _link(place, hook)
        for other in sorted(root.glob(f"v*/{own.name}")):
            if other != own and not own.exists():
                own.parent.mkdir(parents=True, exist_ok=True)
                other.rename(own)  # the link lives on: its program is replaced in one step when we attach
                log.info("link_taken_over", of=other.parent.name)
    there = {index for index, _ in socket.if_nameindex()}
    with Plumbing(0) as plumbing:
        for index, name in socket.if_nameindex():
            if not name.startswith(QUEUE_DEVICES):
                continue
            number = name.removeprefix(QUEUE_DEVICES).removesuffix(ASIDE)
            if number.isdecimal() and int(number) not in there and plumbing.is_ifb(index):
                plumbing.remove_link(index)
                log.info("queue_of_gone_device_removed", name=name)
    for name in holding.sweep():
        log.info("leftover_of_an_exchange_removed", name=name)


def drop_other_versions(place: Place) -> None:
    """Maps of another ABI version, once our own programs run in the place of those that used them."""
    own = _folder(place)
    for other in sorted(own.parent.glob("v*")):
        if other != own:
            for pin in sorted(other.glob("*")):
                pins.drop(pin)
            pins.drop_empty(other, own.parent)


def _attach(place: Place, loaded: Object) -> None:
    """Unsupported where a hook is taken: what was attached until then counts on."""
    name = place.interface.name
    for hook, program in HOOKS[place.interface.direction].items():
        attached = attach.attach(
            loaded.program(program), name, hook, _link(place, hook), allow_generic=place.allow_generic
        )
        log.info("attached", interface=name, hook=hook.value, mode=attached.mode.value, change=attached.change.value)
        for note in attached.notes:
            log.warning("in_the_way_of_xdp", interface=name, why=note)


def queue_classes(config: NodeConfig, rate_bytes_per_s: int, frame_bytes: int) -> list[QueueClass]:
    """The classes of the queue at their floors; guaranteed rates are shared by weight."""
    ids = config.ids
    profiles = {ids[each.name]: each.resolved for each in config.traffic_classes}
    profiles.setdefault(UNMATCHED, PROFILES["network"])
    total = sum(each.weight for each in profiles.values())
    least = least_limit(frame_bytes)
    return [
        QueueClass(
            id=number,
            guaranteed_bytes_per_s=rate_bytes_per_s * each.weight // total,
            ceiling_bytes_per_s=rate_bytes_per_s,
            limit_bytes=max(least, each.floor_bytes),
            priority=min(7, each.priority),
        )
        for number, each in sorted(profiles.items())
    ]


def _queue(place: Place, loaded: Object, config: NodeConfig) -> tuple[Buffer, Verdict]:
    if config.data_plane.mode == "Observe":
        watching = ObserveBuffer("spec.dataPlane.mode is Observe")
        return watching, watching.probe()
    home = Home(place.object_path.with_name("qdisc.bpf.o"), discipline.folder(place.pins))
    return choice.best(place.interface, loaded, home, config.pool.max_bytes)


def _options(place: Place, config: NodeConfig) -> bpf_object.Options:
    return bpf_object.Options(
        rodata={"sn_tunnels_on": 1, "sn_probes_on": 1, "sn_probes_own": 1},
        max_entries={"sn_flows": max(LEAST_FLOWS, config.data_plane.max_flows // place.sharers)},
        sharded=SHARDED,
        programs=queue_programs.PROGRAMS | set(HOOKS[place.interface.direction].values()),
        pins=_folder(place),
        replace_pins=True,
    )


def _link(place: Place, hook: attach.Hook) -> Path:
    return pins.link_path(_folder(place), hook.value, place.interface.name)


def _folder(place: Place) -> Path:
    return pins.folder(place.pins, f"agent_{place.interface.name}", bpf_object.ABI_VERSION)
