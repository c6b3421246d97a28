"""Flow types: what traffic of a kind usually needs, so that a class is one line until somebody knows better."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

ProfileName = Literal["cache", "database", "llm", "network", "telemetry"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Priority: 0 goes first. Drop cost: what losing a byte hurts, against one byte held (1 = nobody notices)."""

    priority: int
    max_delay_millis: int
    floor_bytes: int
    weight: int
    drop_cost: int


# Why these: a cache answer is worthless when late and cheap to ask for again; a database's retry locks rows; tokens of
# an LLM are watched as they come, but a lost request wastes a GPU; telemetry waits and survives holes.
PROFILES: Mapping[ProfileName, Profile] = MappingProxyType(
    {
        "cache": Profile(priority=1, max_delay_millis=5, floor_bytes=16_384, weight=20, drop_cost=40),
        "database": Profile(priority=0, max_delay_millis=10, floor_bytes=32_768, weight=30, drop_cost=100),
        "llm": Profile(priority=1, max_delay_millis=50, floor_bytes=32_768, weight=20, drop_cost=80),
        "network": Profile(priority=2, max_delay_millis=50, floor_bytes=16_384, weight=10, drop_cost=20),
        "telemetry": Profile(priority=3, max_delay_millis=500, floor_bytes=8_192, weight=5, drop_cost=5),
    }
)
