"""What the dashboards and rules cost a real Prometheus that holds the series of a thousand nodes:

PYTHONPATH=tests:tools/monitoring .venv/bin/python -m monitoring.cost --nodes 1000 --json FILE
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitoring.crowd import NOW, exposition
from monitoring.dashboards import DASHBOARDS

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSE_S = 10
BOARD_S, STEP_S = 1800, 15  # what a board shows when it is opened
STEPS: Final = BOARD_S // STEP_S
OPENED: Final = {
    "$node": "node-00000:9465", "$class": ".*", "$balancer": ".*", "$cluster": ".*", "$__rate_interval": "1m",
    " offset 1m": " offset 10s",
}  # fmt: skip
"""A board's variables as they are when nobody has chosen anything. What was a minute ago costs what was just now costs,
and this Prometheus is not up for so long."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="keep it here")
    asked = parser.parse_args()
    found = measured(asked.nodes)
    text = json.dumps(found, indent=1) + "\n"
    if asked.json:
        asked.json.write_text(text)
    sys.stdout.write(text)


def measured(nodes: int) -> dict[str, Any]:
    body = [line.encode() for line in exposition(nodes)]
    with tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder, _serving(b"".join(body)) as address:
        running = import_module("support.prometheus").prometheus
        with running(Path(folder), {"crowd": [address]}, pause=f"{PAUSE_S}s", honor_labels=True) as watching:
            watching.wait_for("count(class:sentinel_class_bytes:rate1m) > 0")
            rows = list(_boards(f"http://127.0.0.1:{watching.port}"))
            groups = _asked(f"http://127.0.0.1:{watching.port}/api/v1/rules")["groups"]
            standing = sorted(watching.standing())
    rules = {each["name"]: {"seconds": each["evaluationTime"], "rules": len(each["rules"])} for each in groups}
    return {
        "command": f"python -m monitoring.cost --nodes {nodes}",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load": os.getloadavg()[0],
        "nodes": nodes,
        "series": len(body),
        "rules": rules,
        "standing": standing,
        "queries": rows,
    }


@contextmanager
def _serving(body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.replace(NOW.encode(), str(int(time.time())).encode()))

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _boards(prometheus: str) -> Iterator[dict[str, Any]]:
    for name, board in DASHBOARDS.items():
        for panel in (panel for row in board.rows for panel in row.panels):
            for expr, legend in panel.queries:
                yield {"board": name, "panel": panel.title, "line": legend, **_cost(prometheus, expr)}


def _cost(prometheus: str, expr: str) -> dict[str, Any]:
    """Of the query over the time that a board shows."""
    for variable, value in OPENED.items():
        expr = expr.replace(variable, value)
    now = time.time()
    query = {"query": expr, "start": now - BOARD_S, "end": now, "step": STEP_S, "stats": "all"}
    began = time.perf_counter()
    told = _asked(f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(query)}")
    took_s = time.perf_counter() - began
    once = _asked(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expr, 'stats': 'all'})}")
    return {
        "series": len(told["result"]), "seconds": round(took_s, 4),
        "samplesOfAStep": once["stats"]["samples"]["totalQueryableSamples"],
        "peakSamples": told["stats"]["samples"]["peakSamples"],
    }  # fmt: skip


def _asked(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=300) as said:  # noqa: S310
        data = json.loads(said.read())["data"]
        assert isinstance(data, dict)
        return data


if __name__ == "__main__":
    main()
