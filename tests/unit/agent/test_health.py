"""What a running agent answers over HTTP, asked over a real socket."""

import json
import socket
import struct
import threading
import urllib.error
import urllib.request
from http import HTTPStatus

import pytest
from prometheus_client import CollectorRegistry, Counter

from sentinel_agent import health
from sentinel_api.errors import Invalid


def ask(server: health.Server, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def serve():
    started: list[health.Server] = []

    def start(**routes: health.Route) -> health.Server:
        server = health.Server(("127.0.0.1", 0), {f"/{name}": route for name, route in routes.items()})
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def test_a_stuck_tick_is_not_alive_even_while_the_server_answers(serve):
    last_tick_ns = 10**9
    server = serve(healthz=lambda: health.verdict(health.stalled(last_tick_ns, 7 * 10**9, 5 * 10**9)))
    assert ask(server, "/healthz") == (503, b"no tick for 6.0 s")


def test_a_tick_in_time_is_alive(serve):
    server = serve(healthz=lambda: health.verdict(health.stalled(10**9, 2 * 10**9, 5 * 10**9)))
    assert ask(server, "/healthz") == (200, b"ok")


def test_an_unknown_path_names_the_known_ones(serve):
    assert ask(serve(metrics=lambda: health.verdict("")), "/nothing") == (404, b"/metrics")


def test_metrics_come_in_the_format_of_prometheus(serve):
    registry = CollectorRegistry()
    Counter("sentinel_ticks", "Ticks done.", registry=registry).inc(3)
    status, body = ask(serve(metrics=health.metrics(registry)), "/metrics")
    assert status == 200
    assert b"sentinel_ticks_total 3.0" in body


def test_the_last_tick_comes_as_json(serve):
    status, body = ask(serve(state=health.state(lambda: {"tier": "B"})), "/state")
    assert (status, json.loads(body)) == (200, {"tier": "B"})


def test_a_taken_port_is_one_sentence(serve):
    taken = serve(healthz=lambda: health.verdict("")).port
    with pytest.raises(Invalid, match=f"cannot listen on 127.0.0.1:{taken} .*free the port or name another"):
        health.Server(("127.0.0.1", taken), {})


def test_who_stops_waiting_leaves_no_trace_in_the_log(serve, capfd):
    gone, handled = threading.Event(), threading.Event()

    def late():
        gone.wait(30)
        return health.Answer(HTTPStatus.OK, b"x" * (1 << 22))

    server = serve(metrics=late)
    finished = server._http.shutdown_request
    server._http.shutdown_request = lambda request: (finished(request), handled.set())
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.set()
    assert handled.wait(30)
    assert capfd.readouterr().err == ""
