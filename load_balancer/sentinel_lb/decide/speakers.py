"""Which balancer speaks for an address: every balancer computes the same answer from the same list, without asking."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def speaker(address: str, balancers: Iterable[str]) -> str:
    """By the largest hash of the pair: when a balancer goes, only its own addresses find another one."""
    return max(balancers, key=lambda name: (_weight(address, name), name))


def spoken_for(own: str, others: Iterable[str], addresses: Iterable[str]) -> tuple[str, ...]:
    """The addresses that are this balancer's to announce on a segment."""
    balancers = {own, *others}
    return tuple(address for address in addresses if speaker(address, balancers) == own)


def _weight(address: str, name: str) -> bytes:
    return hashlib.blake2b(f"{name}\0{address}".encode(), digest_size=8).digest()
