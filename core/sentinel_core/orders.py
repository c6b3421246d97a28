"""What one class may hold and how it is policed: `struct sn_order` as a value, and the only place its units convert."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sentinel_core import pid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Q16_ONE: Final = 1 << 16
_U32: Final = (1 << 32) - 1
_U64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Order:
    """Without a lease: that is given when the order is written, so that an old order can be renewed as it stands."""

    max_bytes: int
    drain_bytes_per_s: int
    target_us: int
    gains: pid.Gains = pid.CALM
    police: bool = True
    """Drop over the limit; else the virtual queue only measures and marks."""
    mark: bool = True
    """ECN-capable packets are marked instead of dropped early."""
    queue: bool = True
    """Ingress goes through the queue device while the lease lasts."""


def q16(value: float) -> int:
    """The nearest Q16.16 number; what does not fit is clamped, and NaN is 0: a gain must never wrap around."""
    if not value > 0:
        return 0
    return _U32 if value >= _U32 / Q16_ONE else round(value * Q16_ONE)


def from_q16(fixed: int) -> float:
    return fixed / Q16_ONE


def words(order: Order, valid_until_ns: int, seq: int, flag_bits: Mapping[str, int]) -> dict[str, int]:
    """The order as fields of `struct sn_order`; `flag_bits` are constants of the loaded object, by their C names."""
    flags = sum(
        flag_bits[name]
        for name, wanted in (
            ("SN_ORDER_POLICE", order.police),
            ("SN_ORDER_MARK", order.mark),
            ("SN_ORDER_QUEUE", order.queue),
        )
        if wanted
    )
    return {
        "valid_until_ns": _within(valid_until_ns, _U64),
        "max_bytes": _within(order.max_bytes, _U64),
        "drain_Bps": _within(order.drain_bytes_per_s, _U64),
        "target_us": _within(order.target_us, _U32),
        "kp": q16(order.gains.kp),
        "ki": q16(order.gains.ki),
        "kd": q16(order.gains.kd),
        "flags": flags,
        "seq": seq & _U32,
    }


def columns(orders: Sequence[Order], valid_until_ns: int, seq: int, flag_bits: Mapping[str, int]) -> dict[str, Any]:
    """The same as `words` for many orders at once, field by field: a tick writes up to 128 of them."""
    first = words(orders[0], valid_until_ns, seq, flag_bits)
    gains = [_fixed(order.gains) for order in orders]
    police, mark, queue = (flag_bits[f"SN_ORDER_{name}"] for name in ("POLICE", "MARK", "QUEUE"))
    return {
        "max_bytes": [_within(each.max_bytes, _U64) for each in orders],
        "drain_Bps": [_within(each.drain_bytes_per_s, _U64) for each in orders],
        "target_us": [_within(each.target_us, _U32) for each in orders],
        "kp": [each[0] for each in gains],
        "ki": [each[1] for each in gains],
        "kd": [each[2] for each in gains],
        "flags": [police * each.police + mark * each.mark + queue * each.queue for each in orders],
        "seq": first["seq"],
        "valid_until_ns": first["valid_until_ns"],
    }


@cache
def _fixed(gains: pid.Gains) -> tuple[int, int, int]:
    """There are two sets of gains."""
    return q16(gains.kp), q16(gains.ki), q16(gains.kd)


def lease_only(order: Order) -> Order:
    """For packets that the queue is not for: the lease is theirs too, but nothing is asked of them."""
    return replace(order, drain_bytes_per_s=0, police=False, mark=False, queue=False)


def exit_words(order: Order, valid_until_ns: int) -> dict[str, int]:
    """The order as fields of `struct sn_qos`, for packets on their way out: they are marked once more waits in the
    queue than it sends within the target delay. The queue's own classes bound their rates."""
    mark_above = order.drain_bytes_per_s * order.target_us // 10**6 if order.mark else 0
    return {
        "valid_until_ns": _within(valid_until_ns, _U64),
        "rate_Bps": 0,
        "burst_bytes": 0,
        "mark_above_bytes": _within(mark_above, _U64),
    }


def _within(value: int, most: int) -> int:
    return min(max(value, 0), most)
