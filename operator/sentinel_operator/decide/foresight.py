"""Whether it has paid of late to believe the forecasts of all nodes together: how far they were from what came, beside
how far one was who took present demand for the future.

Only moments count in which something was foretold or came: a calm day says nothing about the burst of each morning.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sentinel_operator.decide.demand import Known

MATTERS = 0.08  # of what was carried: what differs by less moves no node
FADING = 1 - 1 / 360  # each moment counts for so much less at the next one; both were chosen by `bench scaling`


@dataclass(frozen=True, slots=True)
class Said:
    """What all were expected to carry at `due`, and what they carried when that was said, in bytes per second."""

    due: datetime
    expected: float
    carried: float


@dataclass(frozen=True, slots=True)
class Record:
    """A new leader has none, and believes."""

    waiting: tuple[Said, ...] = ()
    missed: float = 0.0  # by the forecasts
    unmoved: float = 0.0  # by taking present demand for the future

    @property
    def pays(self) -> bool:
        return self.missed <= self.unmoved


def kept(record: Record, now: datetime, known: Known, horizon_s: int) -> Record:
    """With what was said for now judged, and what is said now kept until its time comes."""
    for said in record.waiting:
        if said.due <= now:
            record = _judged(record, said, known.now)
    later = tuple(said for said in record.waiting if said.due > now)
    fresh = Said(now + timedelta(seconds=horizon_s), known.p50, known.now)
    return replace(record, waiting=(*later, fresh))


def _judged(record: Record, said: Said, came: float) -> Record:
    if max(abs(said.expected - said.carried), abs(came - said.carried)) <= MATTERS * said.carried:
        return record
    return replace(
        record,
        missed=FADING * record.missed + abs(said.expected - came),
        unmoved=FADING * record.unmoved + abs(said.carried - came),
    )
