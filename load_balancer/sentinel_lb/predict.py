"""What each class will bring in the next second: what it brings now, and the bursts that nodes see coming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sentinel_mesh.roster import Member

SOON_S: Final = 1.0
"""A burst that is expected later may still be placed by then; telling of it now would only be a guess."""

SMOOTHING: Final = 0.3
"""Of the newest tick: half of a step is seen after two."""


def smoothed(before: Mapping[int, float], measured: Mapping[int, float]) -> dict[int, float]:
    """Bytes per second by class; a class that brings nothing any more fades out."""
    return {
        each: before.get(each, measured.get(each, 0.0)) * (1 - SMOOTHING) + measured.get(each, 0.0) * SMOOTHING
        for each in before.keys() | measured.keys()
    }


def expected(now: Mapping[int, float], members: Iterable[Member]) -> dict[int, float]:
    """Nodes foresee what comes to them; together that is what comes to the service, and may go elsewhere."""
    found = dict(now)
    for member in members:
        for class_id, each in enumerate(member.state.classes if member.state is not None else ()):
            if each.burst_in_s <= SOON_S and each.burst_probability > 0:
                found[class_id] = found.get(class_id, 0.0) + each.burst_probability * each.burst_p50_bytes
    return found
