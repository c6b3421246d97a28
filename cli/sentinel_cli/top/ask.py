"""Asks agents for their metrics, all at once: a node that is dead or slow keeps nobody waiting."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import TYPE_CHECKING

from sentinel_api.errors import Invalid
from sentinel_cli.top.seen import Node, parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_S = 2.0
LARGEST = 4 << 20  # what somebody else serves at that address may have no end
METRICS_PORT, DEBUG_PORT = 9465, 9466
AT_ONCE = 32


def targets(wanted: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(name, host:port) of each; Invalid for what is no address."""
    return tuple((each, _address(each)) for each in wanted or ("127.0.0.1",))


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        return f"{text}:{METRICS_PORT}"
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise Invalid(f"{text!r} is no address of an agent: write HOST or HOST:PORT, as node7:{METRICS_PORT}")
    return text


def look(asked: Sequence[tuple[str, str]]) -> list[Node]:
    with ThreadPoolExecutor(min(AT_ONCE, len(asked))) as pool:
        return list(pool.map(lambda each: _look(*each), asked))


def _look(name: str, address: str) -> Node:
    at_s = time.monotonic()
    try:
        node = parsed(name, at_s, got(f"http://{address}/metrics").decode())
    except (OSError, ValueError) as error:
        return Node(name, at_s, error=why(error))
    if not node.classes:
        return Node(name, at_s, error="answers, but tells of no class: it has just begun, or is no agent")
    if address.startswith(("127.", "localhost:")):
        node.orders = _orders(address.rpartition(":")[0])
    return node


def _orders(host: str) -> tuple[str, ...]:
    """Why each limit is what it is; agents tell that to their own machine only."""
    try:
        return tuple(json.loads(got(f"http://{host}:{DEBUG_PORT}/debug/state")).get("decisions", ()))
    except (OSError, ValueError, AttributeError, TypeError):  # whatever else listens there
        return ()


def got(url: str) -> bytes:
    """OSError, whatever stands at the other end."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310  http only, by construction
            return bytes(answer.read(LARGEST))
    except HTTPException as error:
        raise OSError("speaks no HTTP: is that an agent's metrics port?") from error


def why(error: Exception) -> str:
    if isinstance(error, ValueError):
        return "what it answers are no metrics: is that an agent's metrics port?"
    if isinstance(error, urllib.error.HTTPError):
        return f"answers {error.code}: is that an agent's metrics port?"
    cause = getattr(error, "reason", error)
    if isinstance(cause, ConnectionRefusedError):
        return "nobody listens there: is the agent running, and is that its metrics port?"
    return "no answer within 2 s" if isinstance(cause, TimeoutError) else str(cause)
