"""The planes of a node, opened together: one for each interface that is there, and why not for the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from sentinel_agent import interface
from sentinel_agent.inspection import Inspector, Watched
from sentinel_agent.lane import Lane
from sentinel_agent.plane import Place, open_plane
from sentinel_api.records import CLASSES
from sentinel_bpf import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sentinel_agent.lane import Brains
    from sentinel_agent.settings import Settings
    from sentinel_api.v1alpha1.nodeconfig import NodeConfig
    from sentinel_bpf.buffer.port import Interface

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rooms:
    """`absent` says by name why an interface has no lane; `inspector` says when that or anything else changes."""

    interfaces: tuple[Interface, ...]
    lanes: tuple[Lane, ...]
    absent: Mapping[str, str]
    inspector: Inspector

    def close(self, *, hand_back: bool) -> None:
        """Leases end before anything is handed back, so that nothing new enters a queue while it is emptied."""
        self.inspector.stop()
        for lane in self.lanes:
            if hand_back:
                lane.let_go()
                lane.plane.detach()
            lane.close()


def chosen(config: NodeConfig, now: Rooms | None) -> tuple[Interface, ...]:
    """Invalid for an interface that is not there, unless it was there before: those are waited for."""
    if now is not None and now.absent:
        missing = set(now.absent)
        named = {each.name for each in config.data_plane.interfaces}
        if missing <= named or not named:
            return now.interfaces
    return interface.chosen(config)


def opened(
    interfaces: Sequence[Interface],
    config: NodeConfig,
    settings: Settings,
    changed: Callable[[str], None],
    brains: Callable[[str], Brains],
) -> Rooms:
    """`brains` gives what forecasts for an interface of that name."""
    lanes: list[Lane] = []
    absent: dict[str, str] = {}
    watched: list[Watched] = []
    for each in interfaces:
        index = interface.there(each.name)
        if index is None:
            absent[each.name] = f"{each.name} is gone"
            watched.append(Watched(each, None, None))
            continue
        place = Place(settings.object_path, settings.pins, each, sharers=len(interfaces))
        lane = Lane(open_plane(place, config), brains(each.name), first_row=len(lanes) * CLASSES)
        lane.flows.start()
        lanes.append(lane)
        watched.append(Watched(each, index, lane))
    major = layout.constants(settings.object_path, "sn_queue_const")["SN_QUEUE_MAJOR"]
    return Rooms(tuple(interfaces), tuple(lanes), absent, Inspector(watched, major, changed))
