"""The constants of the comparison, each with its reason: nothing that decides a figure is hidden in code."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20


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


@dataclass(frozen=True, slots=True)
class Scenario:
    drain_bytes_per_s: int
    floor_bytes: int
    pool_bytes: int
    bystander_bytes: int
    classes: tuple[TrafficClass, ...]

    @property
    def bursty(self) -> TrafficClass:
        return next(each for each in self.classes if each.resizable)


SINGLE = Scenario(
    # A burst brings 10 MB/s: two seconds of it exceed this rate by 4 MB, half of what the pool could hold. Slow enough
    # for two shared cores to generate and receive without being the bottleneck themselves.
    drain_bytes_per_s=8_000_000,
    # 8 ms at the drain rate: keeps the link busy over a scheduling gap, and is what a small static buffer would be.
    floor_bytes=64 * KIB,
    # The product's default pool per node and interface.
    pool_bytes=10 * MIB,
    # Telemetry sends 40 kB/s; this is its limit under every policy.
    bystander_bytes=64 * KIB,
    classes=(
        TrafficClass(1, "bursty", 9001, "", 1_000, 1.0, 0.8, resizable=True),
        TrafficClass(2, "bystander", 9002, "steady", 200, 0.2, 0.1, resizable=False),
    ),
)
