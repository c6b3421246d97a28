"""What the two TCP processes are told and what they answer, a line each, in the order of the datagrams' ones."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

TcpKind = Literal["bulk", "requests", "short"]
"""Connections that send without end; requests on connections that stay; a new connection for each request."""


class TcpOrder(BaseModel):
    model_config = ConfigDict(frozen=True)

    namespace: str
    address: str
    port: int
    kind: TcpKind
    seconds: float
    connections: int = 4
    request_bytes: int = 10_000
    per_second: float = 50.0
    """Requests that are due, whatever became of the ones before."""
    seed: int = 0
    congestion: str = "cubic"
    """Named, or a machine's default would decide the figures: BBR loses tenfold what CUBIC does at a short queue."""


class TcpSent(BaseModel):
    """Milliseconds count from when a request was due, not from when it could be sent: a stall delays all behind it."""

    model_config = ConfigDict(frozen=True)

    bytes_by_connection: tuple[int, ...]
    due: int
    answered: int
    failed: int
    millis: tuple[float, ...]


class ServeOrder(BaseModel):
    model_config = ConfigDict(frozen=True)

    namespace: str
    port: int


class Served(BaseModel):
    model_config = ConfigDict(frozen=True)

    bytes_by_connection: tuple[int, ...]
