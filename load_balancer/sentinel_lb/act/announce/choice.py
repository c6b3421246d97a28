"""Which back end announces: by the configuration's mode, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel_lb.act.announce.bgp import Frr
from sentinel_lb.act.announce.port import Silent
from sentinel_lb.act.announce.segment import Segment

if TYPE_CHECKING:
    from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
    from sentinel_lb.act.announce.port import Announcer
    from sentinel_lb.settings import FrrSettings
    from sentinel_lb.ways import Uplink


def announcer(device: str, uplink: Uplink, frr: FrrSettings, config: BalancerConfig) -> Announcer:
    if config.announce.mode == "ARP":
        return Segment(device)
    return Frr(frr, uplink.address4) if config.announce.mode == "BGP" else Silent()
