"""A real HTTP receiver on this machine: what is posted to it, and with which status it answers."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Posted(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    url: str
    posted: "queue.Queue[Posted]" = field(default_factory=queue.Queue)
    status: int = 204
    silent: threading.Event = field(default_factory=threading.Event)
    """While it is set, requests are taken and never answered."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    made: list[Receiver] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if made[0].silent.is_set():
                ended.wait()
                return
            made[0].posted.put(Posted(self.path, dict(self.headers), body))
            self.send_response(made[0].status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    ended = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made.append(Receiver(f"http://127.0.0.1:{server.server_address[1]}"))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made[0]
        ended.set()
        server.shutdown()
