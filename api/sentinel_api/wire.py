"""Records of the mesh as bytes: what nodes tell each other ten times a second, small and safe to receive.

Every record starts with the same prefix (magic, version, kind). Within a version fields are only ever appended, so a
reader ignores what it does not know; anything else takes a new version, and an old reader then gets `UnknownVersion`
to count. Whatever else a stranger may send raises `Invalid`, and nothing but `Invalid`.

Numbers are quantised, with these bounds on the error:

* amounts of bytes (`amounts.py`): exact to 4096, then within 1/2048 below for promises (headroom is rounded down) and
  1/4096 to either side for estimates; the most is `AMOUNT_MAX`;
* probabilities and confidence: 8 bits, within 1/510;
* load: within 1/2000, up to 65.535 times the capacity; time to a burst in a state: within 25 ms, up to 12.75 s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

import numpy as np

from sentinel_api.amounts import amounts, floor_codes, near_codes
from sentinel_api.errors import Invalid
from sentinel_api.records import (
    CLASSES,
    HORIZONS_S,
    Alarm,
    ClassState,
    Demand,
    Digest,
    Flag,
    NodeState,
    Role,
    Share,
    Tier,
)

VERSION: Final = 1
STATE_MAX_BYTES: Final = 300
ALARM_MAX_BYTES: Final = 300
DIGEST_MAX_BYTES: Final = 300
SHARE_MAX_BYTES: Final = 65_535
NAME_MAX_BYTES: Final = 253

_MAGIC: Final = 0x4E53
_KINDS: Final = {"state": 1, "alarm": 2, "digest": 3, "share": 4}
_PREFIX: Final = np.dtype([("magic", "<u2"), ("version", "u1"), ("kind", "u1")])


@dataclass(frozen=True, slots=True)
class UnknownVersion:
    """One of our records in a version this reader does not speak: to be counted, not to be believed."""

    kind: str
    version: int


# --- layouts ----------------------------------------------------------------------------------------------------

_ORDERING: Final = [("incarnation", "<u4"), ("seq", "<u4")]
_CLASS: Final = np.dtype(
    [("headroom", "<u2"), ("probability", "u1"), ("burst_in", "u1"), ("burst_p50", "<u2"), ("burst_p90", "<u2")]
)
_E = TypeVar("_E", bound=Enum)
_H: Final = len(HORIZONS_S)
_STATE: Final = np.dtype(
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
_ALARM: Final = np.dtype(
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
_DIGEST: Final = np.dtype(
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
_SHARE: Final = np.dtype([("prefix", _PREFIX), *_ORDERING, ("rows", "<u2")])
LAYOUTS: Final = {"state": _STATE, "alarm": _ALARM, "digest": _DIGEST, "share": _SHARE}
"""The fixed part of each record, for those who document or dissect it."""


# --- packing ----------------------------------------------------------------------------------------------------


def pack_state(state: NodeState) -> bytes:
    """The record for `…/state`; amounts are rounded and clamped as the head of this module says."""
    if len(state.classes) != CLASSES:
        raise Invalid(f"a state has {CLASSES} classes, not {len(state.classes)}")
    record = _started("state", _STATE, state.incarnation, state.seq)
    record["tier"], record["role"] = state.tier.value, state.role.value
    record["flags"] = int(state.flags) & 0xFFFF
    record["load"] = _scaled(state.load, 1000, 0xFFFF)
    record["demand_now"] = near_codes([state.demand.now])
    record["demand_p50"] = near_codes(_per_horizon(state.demand.p50))
    record["demand_p95"] = near_codes(_per_horizon(state.demand.p95))
    classes = record["classes"]
    classes["headroom"] = floor_codes([c.headroom_bytes for c in state.classes])
    classes["probability"] = [_scaled(c.burst_probability, 255, 255) for c in state.classes]
    classes["burst_in"] = [_scaled(c.burst_in_s, 20, 255) for c in state.classes]
    classes["burst_p50"] = near_codes([c.burst_p50_bytes for c in state.classes])
    classes["burst_p90"] = near_codes([c.burst_p90_bytes for c in state.classes])
    return bytes(record.tobytes())


def unpack_state(raw: bytes) -> NodeState | UnknownVersion:
    """Raises `Invalid`, and nothing else, for what is no state record."""
    record = _read("state", _STATE, raw, STATE_MAX_BYTES)
    if isinstance(record, UnknownVersion):
        return record
    classes = record["classes"]
    columns = (
        amounts(classes["headroom"]),
        (classes["probability"] / 255).tolist(),
        (classes["burst_in"] / 20).tolist(),
        amounts(classes["burst_p50"]),
        amounts(classes["burst_p90"]),
    )
    return NodeState(
        incarnation=int(record["incarnation"]),
        seq=int(record["seq"]),
        tier=_member(Tier, int(record["tier"])),
        role=_member(Role, int(record["role"])),
        flags=Flag(int(record["flags"])),
        load=int(record["load"]) / 1000,
        demand=Demand(
            now=amounts(record["demand_now"].reshape(1))[0],
            p50=amounts(record["demand_p50"]),
            p95=amounts(record["demand_p95"]),
        ),
        classes=tuple(ClassState(*row) for row in zip(*columns, strict=True)),
    )


def pack_alarm(alarm: Alarm) -> bytes:
    """The record for `…/alarm`."""
    if not 0 <= alarm.traffic_class < CLASSES:
        raise Invalid(f"traffic class {alarm.traffic_class} is not one of 0 to {CLASSES - 1}")
    origin = _name_bytes(alarm.origin)
    record = _started("alarm", _ALARM, alarm.incarnation, alarm.seq)
    record["traffic_class"] = alarm.traffic_class
    record["hop_limit"] = min(max(alarm.hop_limit, 0), 255)
    record["confidence"] = _scaled(alarm.confidence, 255, 255)
    record["origin_bytes"] = len(origin)
    record["onset_in_ms"] = min(max(alarm.onset_in_ms, -(1 << 31)), (1 << 31) - 1)
    record["magnitude"] = near_codes([alarm.magnitude_bytes])
    return bytes(record.tobytes()) + origin


def unpack_alarm(raw: bytes) -> Alarm | UnknownVersion:
    """Raises `Invalid`, and nothing else, for what is no alarm."""
    record = _read("alarm", _ALARM, raw, ALARM_MAX_BYTES)
    if isinstance(record, UnknownVersion):
        return record
    if record["traffic_class"] >= CLASSES:
        raise Invalid(f"alarm for traffic class {record['traffic_class']}, but classes end at {CLASSES - 1}")
    return Alarm(
        origin=_name(raw, _ALARM.itemsize, int(record["origin_bytes"])),
        traffic_class=int(record["traffic_class"]),
        onset_in_ms=int(record["onset_in_ms"]),
        magnitude_bytes=amounts(record["magnitude"].reshape(1))[0],
        confidence=int(record["confidence"]) / 255,
        hop_limit=int(record["hop_limit"]),
        incarnation=int(record["incarnation"]),
        seq=int(record["seq"]),
    )


def pack_digest(digest: Digest) -> bytes:
    """The record for `…/digest`."""
    if len(digest.headroom_bytes) != CLASSES:
        raise Invalid(f"a digest has {CLASSES} classes, not {len(digest.headroom_bytes)}")
    record = _started("digest", _DIGEST, digest.incarnation, digest.seq)
    record["nodes"], record["fresh_nodes"] = _u16(digest.nodes, "nodes"), _u16(digest.fresh_nodes, "fresh nodes")
    record["demand_now"] = near_codes([digest.demand_now])
    record["demand_p50"] = near_codes(_per_horizon(digest.demand_p50))
    record["spread"] = near_codes(_per_horizon(digest.spread))
    record["spread_norm"] = near_codes(_per_horizon(digest.spread_norm))
    record["headroom"] = floor_codes(digest.headroom_bytes)
    return bytes(record.tobytes())


def unpack_digest(raw: bytes) -> Digest | UnknownVersion:
    """Raises `Invalid`, and nothing else, for what is no digest."""
    record = _read("digest", _DIGEST, raw, DIGEST_MAX_BYTES)
    if isinstance(record, UnknownVersion):
        return record
    return Digest(
        incarnation=int(record["incarnation"]),
        seq=int(record["seq"]),
        nodes=int(record["nodes"]),
        fresh_nodes=int(record["fresh_nodes"]),
        demand_now=amounts(record["demand_now"].reshape(1))[0],
        demand_p50=amounts(record["demand_p50"]),
        spread=amounts(record["spread"]),
        spread_norm=amounts(record["spread_norm"]),
        headroom_bytes=amounts(record["headroom"]),
    )


def pack_share(share: Share) -> bytes:
    """The record for `…/share`; a row is the length of the node's name, the name, and sixteen amounts."""
    record = _started("share", _SHARE, share.incarnation, share.seq)
    record["rows"] = _u16(len(share.intended), "nodes of a share")
    parts = [record.tobytes()]
    for node, intended in share.intended.items():
        if len(intended) != CLASSES:
            raise Invalid(f"the share of {node} has {len(intended)} classes instead of {CLASSES}")
        name = _name_bytes(node)
        parts += [bytes([len(name)]), name, near_codes(intended).astype("<u2").tobytes()]
    raw = b"".join(parts)
    if len(raw) > SHARE_MAX_BYTES:
        raise Invalid(f"a share of {len(share.intended)} nodes takes {len(raw)} bytes: split it by node")
    return raw


def unpack_share(raw: bytes) -> Share | UnknownVersion:
    """Raises `Invalid`, and nothing else, for what is no share."""
    record = _read("share", _SHARE, raw, SHARE_MAX_BYTES)
    if isinstance(record, UnknownVersion):
        return record
    intended: dict[str, tuple[int, ...]] = {}
    at = _SHARE.itemsize
    for _ in range(int(record["rows"])):
        if at >= len(raw):
            raise Invalid(f"share of {len(raw)} bytes ends before its last row")
        name = _name(raw, at + 1, raw[at])
        at += 1 + len(name) + 2 * CLASSES
        if at > len(raw) or name in intended:
            raise Invalid(f"share has a cut or repeated row for {name}")
        intended[name] = amounts(np.frombuffer(raw, "<u2", CLASSES, at - 2 * CLASSES))
    return Share(incarnation=int(record["incarnation"]), seq=int(record["seq"]), intended=intended)


_NAME: Final = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % NAME_MAX_BYTES)


def _name_bytes(name: str) -> bytes:
    raw = name.encode("utf-8", "replace")
    if not _NAME.fullmatch(raw):
        raise Invalid(f"{name!r} is no node name: use 1 to {NAME_MAX_BYTES} letters, digits, dots, dashes")
    return raw


def _name(raw: bytes, start: int, length: int) -> str:
    """Only characters that are safe in a key and in a log line: the sender may be anybody."""
    name = raw[start : start + length]
    if len(name) != length or not _NAME.fullmatch(name):
        raise Invalid("record names a node that cannot exist")
    return name.decode("ascii")


def _started(kind: str, layout: np.dtype[Any], incarnation: int, seq: int) -> Any:
    record = np.zeros((), layout)
    record["prefix"] = (_MAGIC, VERSION, _KINDS[kind])
    record["incarnation"], record["seq"] = _u32(incarnation, "incarnation"), _u32(seq, "seq")
    return record


def _read(kind: str, layout: np.dtype[Any], raw: bytes, most_bytes: int) -> Any:
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


def _member(closed: type[_E], value: int) -> _E:
    try:
        return closed(value)
    except ValueError as error:
        raise Invalid(f"{value} is no {closed.__name__.lower()} of wire version {VERSION}") from error


def _per_horizon(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(values) != len(HORIZONS_S):
        raise Invalid(f"{len(values)} values given for the {len(HORIZONS_S)} horizons of a forecast")
    return values


def _u16(value: int, what: str) -> int:
    return _unsigned(value, what, 16)


def _u32(value: int, what: str) -> int:
    return _unsigned(value, what, 32)


def _unsigned(value: int, what: str, bits: int) -> int:
    if not 0 <= value < 1 << bits:
        raise Invalid(f"{what} {value} does not fit {bits} bits")
    return value


def _scaled(value: float, per_unit: int, largest: int) -> int:
    """Clamped, because a sender with an odd number should still be heard; NaN counts as nothing."""
    if not value > 0:
        return 0
    return min(largest, round(min(value, largest) * per_unit))
