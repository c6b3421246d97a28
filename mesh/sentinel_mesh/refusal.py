"""Why something that came in was not believed: what the counters are called."""

from __future__ import annotations

from enum import Enum


class Refusal(Enum):
    STRANGE_KEY = "strange_key"
    OVERSIZE = "oversize"
    GARBAGE = "garbage"
    UNKNOWN_VERSION = "unknown_version"
    REPLAYED = "replayed"
    IMPOSTOR = "impostor"
    CROWDED = "crowded"
    STRANGER = "stranger"
    """A connection of somebody who has a certificate but is no member: whatever it says is refused by the engine."""
