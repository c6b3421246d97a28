"""How much a node is believed to live: a pure function of what its witnesses say and of what was believed before.

             late, overdue, or process gone          silent, probe good
    ALIVE ───────────────────────────→ SUSPECTED ───────────────────────→ HEADLESS
      ↑                                    │  ↑  └── probe failing ──→ DEAD
      └──── well for as long as held ──────┘  └──── well again ────────┘

Downwards at once, for suspicion is cheap: new flows avoid the node. Upwards only after it was well without a gap, and
longer each time it fell again. The mesh alone never declares a node dead: TCP is silent for long under loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

PERIOD_NS: Final = 100_000_000
LATE_NS: Final = 350_000_000
"""Three states in a row are missing; one or two are lost to a busy machine now and then."""

SILENT_NS: Final = 500_000_000
"""From here on readiness counts as no data everywhere, so the node's numbers may as well not exist."""

HOLD_NS: Final = 400_000_000
"""How long a node must be well after its first fall: longer than `LATE_NS`, so that one state alone is not enough."""

HOLD_MAX_NS: Final = 10_000_000_000
CALM_NS: Final = 30_000_000_000
"""After so long half of a node's falls are forgiven."""


class Level(Enum):
    ALIVE = "alive"
    SUSPECTED = "suspected"
    HEADLESS = "headless"
    DEAD = "dead"


class Probe(Enum):
    """What the balancer's kernel probe says. UNKNOWN where nobody probes, or the prober itself is silent."""

    UNKNOWN = "unknown"
    GOOD = "good"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What speaks for a node, by the receiver's clock: when its last state was received, and when the engine last
    said that its process is gone (None when it never did, or took it back); `overdue`: its beats fell silent.

    A state that comes after that outweighs the engine, which does not always tell of a return.
    """

    heard_ns: int | None = None
    gone_ns: int | None = None
    probe: Probe = Probe.UNKNOWN
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What is believed of a node, and what the next judgement must remember."""

    level: Level
    since_ns: int
    well_since_ns: int | None = None
    falls: float = 0.0
    fell_ns: int | None = None
    """None until it fell for the first time."""

    def hold_ns(self) -> int:
        """How long it must be well before it is believed again."""
        return min(int(HOLD_NS * 2 ** min(max(self.falls - 1.0, 0.0), 16.0)), HOLD_MAX_NS)


def judge(before: Standing | None, seen: Witnesses, now_ns: int) -> Standing:
    """The standing from now on; asking twice at one instant changes nothing."""
    standing = before or Standing(Level.SUSPECTED, now_ns)
    found = verdict(seen, now_ns)
    if found is not Level.ALIVE:
        return _lowered(standing, found, now_ns)
    if standing.level is Level.ALIVE:
        return standing
    well_since_ns = now_ns if standing.well_since_ns is None else standing.well_since_ns
    held = standing.fell_ns is not None and now_ns - well_since_ns < standing.hold_ns()
    level = Level.SUSPECTED if held else Level.ALIVE
    since_ns = standing.since_ns if level is standing.level else now_ns
    return Standing(level, since_ns, well_since_ns, standing.falls, standing.fell_ns)


def verdict(seen: Witnesses, now_ns: int) -> Level:
    """What the witnesses say at this instant, without memory."""
    age_ns = None if seen.heard_ns is None else now_ns - seen.heard_ns
    fresh = speaks(seen, now_ns)
    if seen.probe is Probe.FAILING:
        return Level.SUSPECTED if fresh else Level.DEAD
    if seen.probe is Probe.GOOD and (age_ns is None or age_ns > SILENT_NS):
        return Level.HEADLESS
    return Level.ALIVE if fresh else Level.SUSPECTED


def speaks(seen: Witnesses, now_ns: int) -> bool:
    """Whether the mesh hears it at this instant. Who fell lately is suspected a while longer though he speaks again:
    that is no reason to take away the flows that he has."""
    fresh = seen.heard_ns is not None and now_ns - seen.heard_ns <= LATE_NS
    return fresh and not seen.overdue and not _gone(seen)


def _gone(seen: Witnesses) -> bool:
    return seen.gone_ns is not None and (seen.heard_ns is None or seen.heard_ns <= seen.gone_ns)


def _lowered(standing: Standing, level: Level, now_ns: int) -> Standing:
    since_ns = standing.since_ns if level is standing.level else now_ns
    if standing.level is not Level.ALIVE:
        return Standing(level, since_ns, None, standing.falls, standing.fell_ns)
    return Standing(level, now_ns, None, _forgiven(standing, now_ns) + 1.0, now_ns)


def _forgiven(standing: Standing, now_ns: int) -> float:
    if standing.fell_ns is None:
        return 0.0
    return float(standing.falls * 0.5 ** (max(now_ns - standing.fell_ns, 0) / CALM_NS))
