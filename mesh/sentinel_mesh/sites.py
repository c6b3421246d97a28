"""To which site new traffic goes when a cluster has several: pure, from what each offers and how far away it is.

A site's cost is the time that a request waits there: its way, and a queue that grows without bound as the site fills.
Nearest wins while it has room; a fuller one costs more the fuller it is, so that a far site takes over before the near
one is full. The choice stays as long as nobody is clearly better: sites that look alike must not take turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

QUEUE_MS: Final = 5.0
"""What a request waits at a site that is half full."""

FULL: Final = 0.95
"""From this load on a site takes new traffic only if every other is as full."""

BETTER: Final = 0.8
"""Another site must cost less than this share of the present one to be chosen instead."""

FRESH_S: Final = 3.0
"""Aggregates come once a second; two may be lost."""


@dataclass(frozen=True, slots=True)
class Site:
    """What is known of a site: its digest's headroom for the class, what it serves now, and the way there."""

    name: str
    round_trip_ms: float
    headroom_bytes_per_s: float
    demand_bytes_per_s: float
    age_s: float = 0.0
    alive_nodes: int = 1

    @property
    def load(self) -> float:
        """Of what it could serve, from 0 to 1; a site that serves nothing and offers nothing is full."""
        whole = self.headroom_bytes_per_s + self.demand_bytes_per_s
        return min(max(self.demand_bytes_per_s / whole, 0.0), 1.0) if whole > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The site, and the sentence for people. `name` is empty where there is none."""

    name: str
    reason: str


def chosen(sites: Iterable[Site], present: str = "") -> Choice:
    """The site for new traffic; what flows already stays where it is."""
    alive = [each for each in sites if each.alive_nodes > 0 and each.age_s <= FRESH_S]
    if not alive:
        return Choice("", "no site is heard of: traffic stays in this one")
    roomy = [each for each in alive if each.load < FULL]
    if not roomy:
        least = min(alive, key=lambda each: (each.load, each.round_trip_ms, each.name))
        return Choice(least.name, f"every site is full: the least loaded, at {least.load:.0%}")
    best = min(roomy, key=lambda each: (cost_ms(each), each.name))
    kept = next((each for each in roomy if each.name == present), None)
    if kept is not None and cost_ms(best) >= BETTER * cost_ms(kept):
        return Choice(kept.name, f"kept: {_words(kept)}, and no other is clearly better")
    return Choice(best.name, f"best: {_words(best)}")


def cost_ms(site: Site) -> float:
    """Never falls when the way gets longer, the demand grows, or the headroom shrinks."""
    return site.round_trip_ms + QUEUE_MS * site.load / max(1.0 - site.load, 1e-6)


def _words(site: Site) -> str:
    return f"{site.round_trip_ms:.3g} ms away, {site.load:.0%} full"
