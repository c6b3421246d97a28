"""Orders into the kernel's table, each with its lease: what nobody renews lets go by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sentinel_bpf import layout
from sentinel_bpf.buffer.port import Direction
from sentinel_core.orders import columns, exit_words, lease_only

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_agent.plane import Plane
    from sentinel_core.orders import Order


class OrderTable:
    """The mmapped array: a write is a store, no system call."""

    def __init__(self, plane: Plane) -> None:
        self._table = plane.loaded.map("sn_order").view(writable=True)
        self._flags = layout.constants(plane.place.object_path, "sn_order_flag")
        self._exit = plane.loaded.map("sn_qos").view(writable=True)
        self._leaving = plane.place.interface.direction is Direction.EGRESS
        self._seq = 0

    def write(self, orders: Mapping[int, Order], valid_until_ns: int) -> None:
        """Where leaving packets queue, arriving ones are only counted: they do not wait for what the orders are of."""
        self._seq += 1
        arriving = [lease_only(order) if self._leaving else order for order in orders.values()]
        _store(self._table, list(orders), columns(arriving, valid_until_ns, self._seq, self._flags))
        if self._leaving:
            for class_id, order in orders.items():
                _store(self._exit, class_id, exit_words(order, valid_until_ns))

    def end(self) -> None:
        """All leases over at once: every packet passes untouched from now on."""
        self._table["valid_until_ns"] = 0
        self._exit["valid_until_ns"] = 0


def _store(table: Any, rows: list[int] | int, fields: Mapping[str, Any]) -> None:
    """The lease is stored last, so that an order is never in force before it is whole."""
    for name, value in fields.items():
        if name != "valid_until_ns":
            table[name][rows] = value
    table["valid_until_ns"][rows] = fields["valid_until_ns"]
