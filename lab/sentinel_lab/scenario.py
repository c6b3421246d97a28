"""The constants of the comparison, each with its reason: nothing that decides a figure is hidden in code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sentinel_api.errors import Invalid

KIB = 1 << 10
MIB = 1 << 20

Kind = Literal["udp", "bulk"]
"""How a class is sent: datagrams on a schedule, or as many bytes as TCP gets through."""

HEADER_BYTES: dict[Kind, int] = {"udp": 14 + 20 + 8, "bulk": 14 + 20 + 32}
SYN_WIRE_BYTES = 14 + 20 + 40
"""A SYN with the twenty bytes of options that every client of today sends."""


@dataclass(frozen=True, slots=True)
class TrafficClass:
    id: int
    name: str
    port: int
    pattern: str  # "" takes the pattern the run is about
    packet_bytes: int
    scale: float
    guaranteed_share: float
    resizable: bool
    floor_bytes: int
    """What it starts with under every policy, and what static-small leaves it with."""
    priority: int = 2
    drop_cost: int = 20
    """Both as of the product's `network` profile where a class says nothing else; rivals obey the priority too."""
    kind: Kind = "udp"
    flood: str = ""
    """A pattern of SYNs from forged addresses to the same port, beside the datagrams and in the same class."""

    @property
    def wire_bytes(self) -> int:
        """What a packet takes in the queue, which counts frames and not what is in them."""
        return self.packet_bytes + HEADER_BYTES[self.kind]


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    drain_bytes_per_s: int
    pool_bytes: int
    classes: tuple[TrafficClass, ...]
    about: str = "bursty"
    """Whose drops and delay are the headline."""
    beside: str = "bystander"
    """Who should not notice."""

    @property
    def bursty(self) -> TrafficClass:
        return self.named(self.about)

    @property
    def has_truth(self) -> bool:
        """Whether anybody could be told of bursts: five shapes are no bursts, and nobody announces a flood."""
        return self not in (FLOWS, FLOOD)

    @property
    def floor_bytes(self) -> int:
        return self.bursty.floor_bytes

    @property
    def resizable(self) -> tuple[TrafficClass, ...]:
        return tuple(each for each in self.classes if each.resizable)

    @property
    def shared_bytes(self) -> int:
        """What the resizable classes may hold together: the pool less what the others have for good."""
        return self.pool_bytes - sum(each.floor_bytes for each in self.classes if not each.resizable)

    def named(self, name: str) -> TrafficClass:
        return next(each for each in self.classes if each.name == name)

    def start_limits(self) -> dict[int, int]:
        """The same for every policy, by class id."""
        return {each.id: each.floor_bytes for each in self.classes}

    def with_drain(self, bytes_per_s: int) -> Scenario:
        return replace(self, drain_bytes_per_s=bytes_per_s)

    def with_pool(self, pool_bytes: int) -> Scenario:
        if pool_bytes < sum(self.start_limits().values()):
            raise Invalid(f"a pool of {pool_bytes} bytes is smaller than the floors of {self.name}: give it more")
        return replace(self, pool_bytes=pool_bytes)

    def times(self, factor: float) -> Scenario:
        """So many times the packets, the link, the pool and the floors; the same packets, delays and shares."""
        classes = tuple(
            replace(each, scale=each.scale * factor, floor_bytes=round(each.floor_bytes * factor))
            for each in self.classes
        )
        drain, pool = round(self.drain_bytes_per_s * factor), round(self.pool_bytes * factor)
        return replace(self, drain_bytes_per_s=drain, pool_bytes=pool, classes=classes)

    def with_floor(self, floor_bytes: int) -> Scenario:
        """Another static-small limit, which is everybody's start too."""
        classes = tuple(replace(each, floor_bytes=floor_bytes) if each.resizable else each for each in self.classes)
        return replace(self, classes=classes)


BYSTANDER = TrafficClass(
    # Telemetry sends 40 kB/s; its limit of 64 KiB stays under every policy, so that only the sharing of the link and
    # of the machine can change its delay.
    2, "bystander", 9002, "steady", 200, 0.2, 0.1, resizable=False, floor_bytes=64 * KIB,
)  # fmt: skip

SINGLE = Scenario(
    name="single",
    # A burst brings 10 MB/s: two seconds of it exceed this rate by 4 MB, half of what the pool could hold. Slow enough
    # for two shared cores to generate and receive without being the bottleneck themselves.
    drain_bytes_per_s=8_000_000,
    # The product's default pool per node and interface.
    pool_bytes=10 * MIB,
    classes=(
        # Floor: 8 ms at the drain rate keeps the link busy over a scheduling gap, and is a common small static buffer.
        TrafficClass(1, "bursty", 9001, "", 1_000, 1.0, 0.8, resizable=True, floor_bytes=64 * KIB),
        BYSTANDER,
    ),
)

MIXED = Scenario(
    name="mixed",
    # As above, so that the two scenarios differ in who shares the pool and in nothing else.
    drain_bytes_per_s=8_000_000,
    # Half a second of the drain rate: bulk TCP alone can fill it, and needs longer to leave it than a burst lasts.
    pool_bytes=4 * MIB,
    classes=(
        # Bursts of 50 to 500 ms at 10 MB/s, of which half leaves at once: up to 2.5 MB must wait. A lost packet of a
        # request costs a timeout, hence the drop cost and the priority of the product's `database` profile.
        TrafficClass(
            1, "bursty", 9001, "scheduled", 1_000, 1.0, 0.5, resizable=True, floor_bytes=64 * KIB, priority=0,
            drop_cost=100,
        ),
        BYSTANDER,
        # As much as TCP gets through: its standing queue takes whatever room it is given. Last in priority, and the
        # `network` profile's cost of a drop.
        TrafficClass(
            3, "bulk", 9003, "bulk", 1_448, 1.0, 0.3, resizable=True, floor_bytes=64 * KIB, priority=3, kind="bulk",
        ),
    ),
)  # fmt: skip

FLOWS = Scenario(
    name="flows",
    # The five together bring 2.3 MB/s on average; while a copy runs, a sixth more than this.
    drain_bytes_per_s=3_200_000,
    # As in the mixed scenario half a second of the drain rate and more, which two copies at once can fill.
    pool_bytes=2 * MIB,
    # One class a flow type of the product, with its own shape (traffic/flows.py) and its profile's priority and cost of
    # a drop. Sizes: a token with its envelope, a row, a cached value, a full segment, a few readings. Floors are ten
    # milliseconds of the link, which hold most of a pipeline, but neither a long one nor two that meet.
    classes=(
        TrafficClass(1, "llm", 9001, "llm", 200, 1.0, 0.1, resizable=True, floor_bytes=32 * KIB, priority=0),
        TrafficClass(
            2, "database", 9002, "database", 600, 1.0, 0.2, resizable=True, floor_bytes=32 * KIB, priority=0,
            drop_cost=100,
        ),
        TrafficClass(
            3, "cache", 9003, "cache", 500, 1.0, 0.2, resizable=True, floor_bytes=32 * KIB, priority=1, drop_cost=50,
        ),
        TrafficClass(4, "network", 9004, "network", 1_400, 1.0, 0.3, resizable=True, floor_bytes=32 * KIB, priority=3),
        TrafficClass(
            5, "telemetry", 9005, "telemetry", 150, 1.0, 0.1, resizable=True, floor_bytes=32 * KIB, priority=3,
            drop_cost=5,
        ),
    ),
    about="cache",
    beside="llm",
)  # fmt: skip

FLOOD = Scenario(
    name="flood",
    # The service's own load is 1.04 MB/s and fits; a flood of 12 000 SYNs a second brings 0.89 MB/s more, which do not.
    # More would show no more, and two shared cores could not send it on time beside the node under test.
    drain_bytes_per_s=1_500_000,
    pool_bytes=4 * MIB,
    classes=(
        # Whoever floods a service floods its class: no port tells the SYNs apart.
        TrafficClass(
            1, "bursty", 9001, "steady", 1_000, 1.0, 0.8, resizable=True, floor_bytes=64 * KIB, flood="syns",
        ),
        BYSTANDER,
    ),
)  # fmt: skip

SCENARIOS = {each.name: each for each in (SINGLE, MIXED, FLOWS, FLOOD)}
OF_PATTERN = {"mixed": MIXED, "flows": FLOWS, "synflood": FLOOD}
"""Patterns that are scenarios of their own; all others go through SINGLE."""


def of_pattern(pattern: str) -> Scenario:
    return OF_PATTERN.get(pattern, SINGLE)


DRAINS = (6_000_000, 8_000_000, 9_500_000)
"""The sweep: a burst exceeds the drain by two thirds, by a quarter, and by a twentieth of itself."""
FLOORS = (16 * KIB, 64 * KIB, 256 * KIB, 1 * MIB)
"""The sweep of static-small: from two milliseconds of the drain rate to what a careless default would be."""
ROUND_TRIPS_S = (0.001, 0.08)
"""The sweep of what bulk's acknowledgements take: within a rack and between continents; 20 ms everywhere else."""
