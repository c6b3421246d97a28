"""What the two traffic processes are told and what they answer, a line each on their standard input and output.

order → · ← "ready" · → when to start (sender) or "stop" (receiver) · ← result
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Packets = Literal["udp", "syn"]
"""Stamped datagrams, or SYNs from forged addresses, which are only counted."""


class Stream(BaseModel):
    """One flow of packets to one port, which is also how the node knows its class."""

    model_config = ConfigDict(frozen=True)

    port: int
    pattern: str
    packet_bytes: int
    kind: Packets = "udp"
    seed: int = 0
    scale: float = 1.0
    flows: int = 1
    """Source ports over which batches take turns: a balancer places each flow for itself."""
    begin_s: float = 0.0
    """Of a trace: how much of it came before the run."""


class SendOrder(BaseModel):
    model_config = ConfigDict(frozen=True)

    namespace: str
    address: str
    seconds: float
    streams: tuple[Stream, ...]


class StreamSent(BaseModel):
    model_config = ConfigDict(frozen=True)

    port: int
    kind: Packets = "udp"
    sent: int
    due: int
    took_s: float
    lag_us_p50: float
    lag_us_p99: float
    bursts: tuple[tuple[float, float], ...]


class ReceiveOrder(BaseModel):
    model_config = ConfigDict(frozen=True)

    namespace: str
    beside: tuple[str, ...] = ()
    """Namespaces of other backends, in which it takes the same ports."""
    ports: tuple[int, ...]
    syn_ports: tuple[int, ...] = ()
    output: str  # .npy with one record a packet


class Received(BaseModel):
    model_config = ConfigDict(frozen=True)

    packets: int
    syns: dict[int, int] = {}
    """By port, as they reached the host, whatever its TCP made of them."""
    overflowed: int  # lost in the receiver's own socket: makes the sample dirty
