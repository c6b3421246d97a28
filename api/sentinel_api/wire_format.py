"""How records of the mesh lie in bytes: their layouts, the prefix that all share, and what any reader checks first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES, HORIZONS_S

VERSION: Final = 1
NAME_MAX_BYTES: Final = 253

_MAGIC: Final = 0x4E53
_KINDS: Final = {"state": 1, "alarm": 2, "digest": 3, "share": 4, "beat": 5}
_PREFIX: Final = np.dtype([("magic", "<u2"), ("version", "u1"), ("kind", "u1")])


@dataclass(frozen=True, slots=True)
class UnknownVersion:
    """One of our records in a version this reader does not speak: to be counted, not to be believed."""

    kind: str
    version: int


_ORDERING: Final = [("incarnation", "<u4"), ("seq", "<u4")]
_CLASS: Final = np.dtype(
    [("headroom", "<u2"), ("probability", "u1"), ("burst_in", "u1"), ("burst_p50", "<u2"), ("burst_p90", "<u2")]
)
_E = TypeVar("_E", bound=Enum)
_H: Final = len(HORIZONS_S)
STATE: Final = np.dtype(
    [
        ("prefix", _PREFIX),
        *_ORDERING,
        ("tier", "u1"),
        ("role", "u1"),
        ("flags", "<u2"),
        ("load", "<u2"),
        ("demand_now", "<u2"),
        ("demand_p50", "<u2", (_H,)),
        ("demand_p95", "<u2", (_H,)),
        ("classes", _CLASS, (CLASSES,)),
    ]
)
ALARM: Final = np.dtype(
    [
        ("prefix", _PREFIX),
        *_ORDERING,
        ("traffic_class", "u1"),
        ("hop_limit", "u1"),
        ("confidence", "u1"),
        ("origin_bytes", "u1"),
        ("onset_in_ms", "<i4"),
        ("magnitude", "<u2"),
    ]
)
DIGEST: Final = np.dtype(
    [
        ("prefix", _PREFIX),
        *_ORDERING,
        ("nodes", "<u2"),
        ("fresh_nodes", "<u2"),
        ("demand_now", "<u2"),
        ("demand_p50", "<u2", (_H,)),
        ("spread", "<u2", (_H,)),
        ("spread_norm", "<u2", (_H,)),
        ("headroom", "<u2", (CLASSES,)),
    ]
)
SHARE: Final = np.dtype([("prefix", _PREFIX), *_ORDERING, ("rows", "<u2")])
BEAT: Final = np.dtype([("prefix", _PREFIX), *_ORDERING, ("period_ms", "<u2")])
LAYOUTS: Final = {"state": STATE, "alarm": ALARM, "digest": DIGEST, "share": SHARE, "beat": BEAT}
"""The fixed part of each record, for those who document or dissect it."""


_NAME: Final = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % NAME_MAX_BYTES)


def name_bytes(name: str) -> bytes:
    raw = name.encode("utf-8", "replace")
    if not _NAME.fullmatch(raw):
        raise Invalid(f"{name!r} is no node name: use 1 to {NAME_MAX_BYTES} letters, digits, dots, dashes")
    return raw


def name_at(raw: bytes, start: int, length: int) -> str:
    """Only characters that are safe in a key and in a log line: the sender may be anybody."""
    name = raw[start : start + length]
    if len(name) != length or not _NAME.fullmatch(name):
        raise Invalid("record names a node that cannot exist")
    return name.decode("ascii")


def started(kind: str, layout: np.dtype[Any], incarnation: int, seq: int) -> Any:
    record = np.zeros((), layout)
    record["prefix"] = (_MAGIC, VERSION, _KINDS[kind])
    record["incarnation"], record["seq"] = u32(incarnation, "incarnation"), u32(seq, "seq")
    return record


def read(kind: str, layout: np.dtype[Any], raw: bytes, most_bytes: int) -> Any:
    """The record at the start of `raw`, or an `UnknownVersion`; what follows the record is left to its caller."""
    if not _PREFIX.itemsize <= len(raw) <= most_bytes:
        raise Invalid(f"{len(raw)} bytes cannot be a {kind} record of at most {most_bytes}")
    prefix = np.frombuffer(raw, _PREFIX, 1)[0]
    if prefix["magic"] != _MAGIC or prefix["kind"] != _KINDS[kind]:
        raise Invalid(f"bytes do not begin like a {kind} record")
    if prefix["version"] != VERSION:
        return UnknownVersion(kind, int(prefix["version"]))
    if len(raw) < layout.itemsize:
        raise Invalid(f"{kind} record cut at {len(raw)} of {layout.itemsize} bytes")
    return np.frombuffer(raw, layout, 1)[0]


def member(closed: type[_E], value: int) -> _E:
    try:
        return closed(value)
    except ValueError as error:
        raise Invalid(f"{value} is no {closed.__name__.lower()} of wire version {VERSION}") from error


def per_horizon(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(values) != len(HORIZONS_S):
        raise Invalid(f"{len(values)} values given for the {len(HORIZONS_S)} horizons of a forecast")
    return values


def u16(value: int, what: str) -> int:
    return _unsigned(value, what, 16)


def u32(value: int, what: str) -> int:
    return _unsigned(value, what, 32)


def _unsigned(value: int, what: str, bits: int) -> int:
    if not 0 <= value < 1 << bits:
        raise Invalid(f"{what} {value} does not fit {bits} bits")
    return value


def scaled(value: float, per_unit: int, largest: int) -> int:
    """Clamped, because a sender with an odd number should still be heard; NaN counts as nothing."""
    if not value > 0:
        return 0
    return min(largest, round(min(value, largest) * per_unit))
