"""What the pictures of dashboards are drawn from, watched by a real Prometheus: agents and a balancer under bursts, in
namespaces (the caller is in the client's while it asks); and an operator that scales a fleet on a real API server.

Built from what the tests build (`PYTHONPATH=tests`).
"""

from __future__ import annotations

import math
import tempfile
import threading
import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PERIOD_S, BURST_S = 8.0, 2.0
PIECE = b"x" * 60_000


@contextmanager
def lab(seconds: int) -> Iterator[str]:
    labs, prometheus = import_module("support.board_lab"), import_module("support.prometheus")
    with tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder, labs.board_lab(Path(folder)) as built:
        over = threading.Event()
        busy = threading.Thread(target=_load, args=(built, labs, over), daemon=True)
        busy.start()
        with prometheus.prometheus(Path(folder), labs.JOBS, built.spaces["client"]) as watching:
            watching.wait_for("count(up == 1) == 4")
            time.sleep(seconds)
            with built.spaces["client"].entered():
                yield f"http://127.0.0.1:{prometheus.PORT}"
        over.set()
        busy.join(60)


def nodes() -> list[str]:
    """As `sentinel top` is told of them."""
    return [address.removesuffix(":9465") for address in import_module("support.board_lab").JOBS["agent"]]


@contextmanager
def fleet(seconds: int) -> Iterator[str]:
    """Three nodes whose agents, played here, expect now less and now more than they can carry."""
    operators, scaled = import_module("support.operators"), import_module("support.scaled")
    prometheus, planes = import_module("support.prometheus"), import_module("support.cluster.control_plane")
    with (
        tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder,
        operators.running(Path(folder), planes.BARE) as bench,
    ):
        scaled.make_nodes(bench)
        for name in ("operator-1", "operator-2"):
            bench.operator(name)
        jobs = {"sentinel-operator": [f"127.0.0.1:{port}" for port in bench.metrics_ports]}
        with prometheus.prometheus(Path(folder), jobs) as watching:
            watching.wait_for("count(up == 1) == 2")
            scaled.front(bench, "Auto", scaleDown={"stabilisationSeconds": 0})
            end = time.monotonic() + seconds
            while (left_s := end - time.monotonic()) > 0:
                share = 0.5 + 0.5 * math.sin(left_s / seconds * 4 * math.pi)
                nodes = [name for name in scaled.ordered(bench) if name in scaled.taken(bench)]
                scaled.agents_expect(bench, int((40 + 90 * share) * scaled.MB), *nodes)
                time.sleep(1)
            yield f"http://127.0.0.1:{watching.port}"


def _load(built: Any, labs: Any, over: threading.Event) -> None:
    """A trickle, and for a quarter of the time as much as one client can; a piece fits what both ends keep for it."""
    echoed = import_module("support.lb_lab").echoed
    with labs.strays(built) as lost:
        while not over.wait(0.1):
            with built.connected() as bulk, built.datagrams() as few:
                echoed(few)
                echoed(bulk, PIECE)
                labs.astray(lost, datagrams=2)
                while time.monotonic() % PERIOD_S < BURST_S and not over.is_set():
                    echoed(bulk, PIECE)
                    labs.astray(lost)
