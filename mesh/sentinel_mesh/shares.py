"""What balancers intend to send to whom, as this process heard it; one that fell silent intends nothing any more."""

from __future__ import annotations

from typing import Final

from sentinel_api.records import Share
from sentinel_api.wire import SHARE_MAX_BYTES, unpack_share
from sentinel_mesh.latest import Kind, Latest

FRESH_NS: Final = 500_000_000
BALANCERS_MAX: Final = 64


class Shares(Latest[Share]):
    """By balancer."""

    def __init__(self) -> None:
        super().__init__(Kind(unpack_share, SHARE_MAX_BYTES, FRESH_NS, BALANCERS_MAX))
