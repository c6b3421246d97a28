"""What others may ask a running balancer: is it alive, is it ready, its metrics, and (on loopback) its last tick."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import CollectorRegistry

PATIENCE_S = 5  # a client that never finishes its request holds a thread no longer than this


@dataclass(frozen=True, slots=True)
class Page:
    """`refusal` is why the answer is 503; an empty one is good news."""

    body: bytes
    kind: str = "text/plain; charset=utf-8"
    refusal: str = ""


Made = Callable[[], Page]


def probe(complaint: Callable[[], str]) -> Made:
    return lambda: Page(b"ok", refusal=complaint())


def metrics(registry: CollectorRegistry) -> Made:
    return lambda: Page(generate_latest(registry), CONTENT_TYPE_LATEST)


def state(read: Callable[[], Mapping[str, Any]]) -> Made:
    return lambda: Page(json.dumps(read(), indent=1).encode(), "application/json")


@contextmanager
def served(address: tuple[str, int], pages: Mapping[str, Made]) -> Iterator[None]:
    """From daemon threads that never touch the tick."""

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_S

        def handle(self) -> None:
            """Who stopped waiting is no fault of ours."""
            with suppress(ConnectionError):
                super().handle()

        def do_GET(self) -> None:
            made = pages.get(self.path.partition("?")[0])
            page = made() if made is not None else Page(b"", refusal=f"there is only {', '.join(sorted(pages))}")
            body = page.refusal.encode() or page.body
            self.send_response(200 if not page.refusal else 503 if made is not None else 404)
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Probes come for ever."""

    try:
        server = ThreadingHTTPServer(address, Handler)
    except OSError as error:
        raise Invalid(f"cannot listen on {address[0]}:{address[1]} ({error.strerror}): free the port") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
