"""`sentinel top` in a terminal: it draws, obeys keys, survives another size and a node that goes, and cleans up."""

import sys
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support.terminal import ALTERNATE, MAIN, terminal

CLASSES = [f"class{number:02}" for number in range(14)]


def exposition(look: int) -> str:
    """As an agent's: each class carries twice as much as the one before it, and drops half; much more is to come."""
    lines = []
    for number, name in enumerate(CLASSES):
        on = f'interface="eth0",class="{name}"'
        lines += [
            f"sentinel_class_bytes_total{{{on}}} {look * 100 * 2**number}",
            f"sentinel_class_drops_total{{{on}}} {look * 2 ** (len(CLASSES) - number)}",
            f"sentinel_class_limit_bytes{{{on}}} 100000",
            f"sentinel_class_backlog_bytes{{{on}}} 50000",
        ]
    for horizon in (30, 60, 120, 300):
        lines.append(f'sentinel_forecast_bytes_per_second{{horizon="{horizon}s",quantile="0.5"}} {horizon}000000')
    return "\n".join(lines) + "\n"


@contextmanager
def agent():
    """What stands for one: an address whose counters grow with each look, and whoever calls `gone` ends it."""
    looks = iter(range(1, 1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(exposition(next(looks)).encode() if self.path == "/metrics" else b"{}")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ExitStack() as ends:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ends.callback(server.shutdown)

        def gone():
            ends.close()
            server.server_close()

        yield f"127.0.0.1:{server.server_port}", gone


@pytest.fixture
def watched():
    with agent() as (stays, _), agent() as (goes, gone):
        argv = [sys.executable, "-m", "sentinel_cli", "top", stays, goes, "--every", "0.2"]
        with terminal(argv) as opened:
            opened.wait_for("2 of 2 nodes answer")
            yield opened, stays, goes, gone


def shown(opened) -> list[str]:
    """Classes as they stand below each other."""
    return [line.split()[2] for line in opened.lines if " eth0 " in line]


def left_as_it_was(opened) -> bool:
    screen = opened.said.rfind(MAIN) > opened.said.rfind(ALTERNATE) >= 0
    return screen and not opened.screen.cursor.hidden and opened.settings_now() == opened.settings


def test_it_draws_obeys_and_survives(watched):
    opened, stays, goes, gone = watched
    opened.wait_until(lambda: shown(opened)[:2] == [CLASSES[-1]] * 2, "the busiest class of both nodes first")
    opened.wait_for("expect in 30s, 60s, 120s, 300s")
    opened.wait_until(lambda: any(stays in line and "│▁▂▄█" in line for line in opened.lines), "the forecast's bars")
    assert opened.settings_now() != opened.settings, "keys come one by one while it runs"

    opened.type("n")
    opened.wait_until(lambda: opened.shows("by name") and shown(opened) == CLASSES * 2, "order by name")
    opened.type("d")
    opened.wait_until(lambda: opened.shows("by drops") and shown(opened)[:2] == [CLASSES[0]] * 2, "order by drops")
    opened.type("/class07")
    opened.wait_for("only: class07_")
    opened.type("\r")
    opened.wait_until(lambda: shown(opened) == ["class07"] * 2, "one class alone")
    opened.type("\x1b")
    opened.wait_until(lambda: len(shown(opened)) == 28, "all classes again")

    opened.resize(72, 16)
    opened.wait_until(lambda: opened.shows("more: / shows") and opened.shows("q quit"), "what a small screen holds")
    opened.resize(130, 45)
    opened.wait_until(lambda: len(shown(opened)) == 28 and not opened.shows("more: /"), "all that a large one holds")

    gone()
    opened.wait_for("1 of 2 nodes answer")
    opened.wait_for(f"{goes}: nobody listens there")
    opened.wait_until(lambda: len(shown(opened)) == 14, "the classes of the one that stays")

    opened.type("q")
    assert opened.end() == 0
    assert left_as_it_was(opened)


def test_an_interrupt_leaves_the_terminal_as_it_was_and_no_traceback(watched):
    opened, *_ = watched
    opened.type("\x03")
    assert opened.end() != 0
    assert left_as_it_was(opened)
    assert "Traceback" not in opened.said
