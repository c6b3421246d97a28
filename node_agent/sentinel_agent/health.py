"""What others may ask a running agent: is it alive, is it ready, its metrics, and (on loopback) its last tick.

`alive` means that the tick makes progress, not that some thread exists: a stuck tick must be restarted even while this
server answers.
"""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from sentinel_api.errors import Invalid


@dataclass(frozen=True, slots=True)
class Answer:
    status: HTTPStatus
    body: bytes
    kind: str = "text/plain; charset=utf-8"


Route = Callable[[], Answer]


def verdict(reason: str) -> Answer:
    """An empty reason is good news; any other is what a probe's event will show to a person."""
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, reason.encode()) if reason else Answer(HTTPStatus.OK, b"ok")


def stalled(last_tick_ns: int, now_ns: int, patience_ns: int) -> str:
    """Why the agent does not count as alive; empty when it does."""
    silent_ns = now_ns - last_tick_ns
    return f"no tick for {silent_ns / 1e9:.1f} s" if silent_ns > patience_ns else ""


def metrics(registry: CollectorRegistry) -> Route:
    return lambda: Answer(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST)


def state(read: Callable[[], Mapping[str, Any]]) -> Route:
    return lambda: Answer(HTTPStatus.OK, json.dumps(read(), indent=1).encode(), "application/json")


class Server:
    """Serves a table of routes on one address, from daemon threads that never touch the tick."""

    def __init__(self, address: tuple[str, int], routes: Mapping[str, Route]) -> None:
        try:
            self._http = ThreadingHTTPServer(address, _handler(routes))
        except OSError as error:
            host, port = address
            raise Invalid(
                f"cannot listen on {host}:{port} ({error.strerror}); free the port or name another"
            ) from error
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(routes: Mapping[str, Route]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # a client that never finishes its request holds a thread no longer than this

        def handle(self) -> None:
            """Who stopped waiting is no fault of ours."""
            with suppress(ConnectionError):
                super().handle()

        def do_GET(self) -> None:
            route = routes.get(self.path.partition("?")[0])
            answer = route() if route else Answer(HTTPStatus.NOT_FOUND, " ".join(sorted(routes)).encode())
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            """Probes come every few seconds for ever; counting them is the metrics' job."""

    return Handler
