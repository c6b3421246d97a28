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

from typing import Final

import numpy as np

from sentinel_api.amounts import amounts, floor_codes, near_codes
from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES, Alarm, Beat, ClassState, Demand, Digest, Flag, NodeState, Role, Share, Tier
from sentinel_api.wire_format import (
    ALARM,
    BEAT,
    DIGEST,
    LAYOUTS,
    NAME_MAX_BYTES,
    SHARE,
    STATE,
    VERSION,
    UnknownVersion,
    member,
    name_at,
    name_bytes,
    per_horizon,
    read,
    scaled,
    started,
    u16,
)  # fmt: skip

STATE_MAX_BYTES: Final = 300
ALARM_MAX_BYTES: Final = 300
DIGEST_MAX_BYTES: Final = 300
BEAT_MAX_BYTES: Final = 64
SHARE_MAX_BYTES: Final = 65_535

__all__ = [
    "ALARM_MAX_BYTES", "BEAT_MAX_BYTES", "DIGEST_MAX_BYTES", "LAYOUTS", "NAME_MAX_BYTES", "SHARE_MAX_BYTES",
    "STATE_MAX_BYTES", "VERSION", "UnknownVersion", "pack_alarm", "pack_beat", "pack_digest", "pack_share",
    "pack_state", "unpack_alarm", "unpack_beat", "unpack_digest", "unpack_share", "unpack_state",
]  # fmt: skip


def pack_state(state: NodeState) -> bytes:
    """The record for `…/state`; amounts are rounded and clamped as the head of this module says."""
    if len(state.classes) != CLASSES:
        raise Invalid(f"a state has {CLASSES} classes, not {len(state.classes)}")
    record = started("state", STATE, state.incarnation, state.seq)
    record["tier"], record["role"] = state.tier.value, state.role.value
    record["flags"] = int(state.flags) & 0xFFFF
    record["load"] = scaled(state.load, 1000, 0xFFFF)
    record["demand_now"] = near_codes([state.demand.now])
    record["demand_p50"] = near_codes(per_horizon(state.demand.p50))
    record["demand_p95"] = near_codes(per_horizon(state.demand.p95))
    classes = record["classes"]
    classes["headroom"] = floor_codes([c.headroom_bytes for c in state.classes])
    classes["probability"] = [scaled(c.burst_probability, 255, 255) for c in state.classes]
    classes["burst_in"] = [scaled(c.burst_in_s, 20, 255) for c in state.classes]
    classes["burst_p50"] = near_codes([c.burst_p50_bytes for c in state.classes])
    classes["burst_p90"] = near_codes([c.burst_p90_bytes for c in state.classes])
    return bytes(record.tobytes())


def unpack_state(raw: bytes) -> NodeState | UnknownVersion:
    """Raises `Invalid`, and nothing else, for what is no state record."""
    record = read("state", STATE, raw, STATE_MAX_BYTES)
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
        tier=member(Tier, int(record["tier"])),
        role=member(Role, int(record["role"])),
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
    origin = name_bytes(alarm.origin)
    record = started("alarm", ALARM, alarm.incarnation, alarm.seq)
    record["traffic_class"] = alarm.traffic_class
    record["hop_limit"] = min(max(alarm.hop_limit, 0), 255)
    record["confidence"] = scaled(alarm.confidence, 255, 255)
    record["origin_bytes"] = len(origin)
    record["onset_in_ms"] = min(max(alarm.onset_in_ms, -(1 << 31)), (1 << 31) - 1)
    record["magnitude"] = near_codes([alarm.magnitude_bytes])
    return bytes(record.tobytes()) + origin


def unpack_alarm(raw: bytes) -> Alarm | UnknownVersion:
    """Raises `Invalid`, and nothing else, for what is no alarm."""
    record = read("alarm", ALARM, raw, ALARM_MAX_BYTES)
    if isinstance(record, UnknownVersion):
        return record
    if record["traffic_class"] >= CLASSES:
        raise Invalid(f"alarm for traffic class {record['traffic_class']}, but classes end at {CLASSES - 1}")
    return Alarm(
        origin=name_at(raw, ALARM.itemsize, int(record["origin_bytes"])),
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
    record = started("digest", DIGEST, digest.incarnation, digest.seq)
    record["nodes"], record["fresh_nodes"] = u16(digest.nodes, "nodes"), u16(digest.fresh_nodes, "fresh nodes")
    record["demand_now"] = near_codes([digest.demand_now])
    record["demand_p50"] = near_codes(per_horizon(digest.demand_p50))
    record["spread"] = near_codes(per_horizon(digest.spread))
    record["spread_norm"] = near_codes(per_horizon(digest.spread_norm))
    record["headroom"] = floor_codes(digest.headroom_bytes)
    return bytes(record.tobytes())


def unpack_digest(raw: bytes) -> Digest | UnknownVersion:
    """Raises `Invalid`, and nothing else, for what is no digest."""
    record = read("digest", DIGEST, raw, DIGEST_MAX_BYTES)
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
    record = started("share", SHARE, share.incarnation, share.seq)
    record["rows"] = u16(len(share.intended), "nodes of a share")
    parts = [record.tobytes()]
    for node, intended in share.intended.items():
        if len(intended) != CLASSES:
            raise Invalid(f"the share of {node} has {len(intended)} classes instead of {CLASSES}")
        name = name_bytes(node)
        parts += [bytes([len(name)]), name, near_codes(intended).astype("<u2").tobytes()]
    raw = b"".join(parts)
    if len(raw) > SHARE_MAX_BYTES:
        raise Invalid(f"a share of {len(share.intended)} nodes takes {len(raw)} bytes: split it by node")
    return raw


def unpack_share(raw: bytes) -> Share | UnknownVersion:
    """Raises `Invalid`, and nothing else, for what is no share."""
    record = read("share", SHARE, raw, SHARE_MAX_BYTES)
    if isinstance(record, UnknownVersion):
        return record
    intended: dict[str, tuple[int, ...]] = {}
    at = SHARE.itemsize
    for _ in range(int(record["rows"])):
        if at >= len(raw):
            raise Invalid(f"share of {len(raw)} bytes ends before its last row")
        name = name_at(raw, at + 1, raw[at])
        at += 1 + len(name) + 2 * CLASSES
        if at > len(raw) or name in intended:
            raise Invalid(f"share has a cut or repeated row for {name}")
        intended[name] = amounts(np.frombuffer(raw, "<u2", CLASSES, at - 2 * CLASSES))
    return Share(incarnation=int(record["incarnation"]), seq=int(record["seq"]), intended=intended)


def pack_beat(beat: Beat) -> bytes:
    """The record for `…/beat`."""
    record = started("beat", BEAT, beat.incarnation, beat.seq)
    record["period_ms"] = u16(beat.period_ms, "milliseconds between beats")
    return bytes(record.tobytes())


def unpack_beat(raw: bytes) -> Beat | UnknownVersion:
    """Raises `Invalid`, and nothing else, for what is no beat."""
    record = read("beat", BEAT, raw, BEAT_MAX_BYTES)
    if isinstance(record, UnknownVersion):
        return record
    if not record["period_ms"]:
        raise Invalid("a beat that promises no next one")
    return Beat(int(record["incarnation"]), int(record["seq"]), int(record["period_ms"]))
