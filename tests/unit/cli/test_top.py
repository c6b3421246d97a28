"""`sentinel top`: looks become rates, rates a picture; keys, addresses, and agents that do not answer."""

import json
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner
from rich.console import Console

from sentinel_api.errors import Invalid, Transient
from sentinel_cli.top import keys, view
from sentinel_cli.top.ask import look, targets
from sentinel_cli.top.command import top
from sentinel_cli.top.seen import Node, lines, ordered, parsed

TEXT = """
# TYPE sentinel_class_bytes counter
sentinel_class_bytes_total{interface="eth0",class="gold"} %d
sentinel_class_bytes_total{interface="eth0",class="bulk"} 0
# TYPE sentinel_class_drops counter
sentinel_class_drops_total{interface="eth0",class="gold"} %d
# TYPE sentinel_class_limit_bytes gauge
sentinel_class_limit_bytes{interface="eth0",class="gold"} 1048576
# TYPE sentinel_class_backlog_bytes gauge
sentinel_class_backlog_bytes{interface="eth0",class="gold"} 524288
# TYPE sentinel_class_sojourn_seconds gauge
sentinel_class_sojourn_seconds{interface="eth0",class="gold",quantile="0.5"} 0.001
sentinel_class_sojourn_seconds{interface="eth0",class="gold",quantile="0.99"} 0.0025
# TYPE sentinel_data_plane_tier gauge
sentinel_data_plane_tier{interface="eth0",tier="A"} 0
sentinel_data_plane_tier{interface="eth0",tier="B"} 1
# TYPE sentinel_pool_bytes gauge
sentinel_pool_bytes{part="total"} 4194304
sentinel_pool_bytes{part="granted"} 2097152
sentinel_pool_bytes{part="held"} 524288
# TYPE sentinel_forecast_bytes_per_second gauge
sentinel_forecast_bytes_per_second{horizon="60s",quantile="0.5"} 2000000
sentinel_forecast_bytes_per_second{horizon="60s",quantile="0.95"} 3000000
sentinel_forecast_bytes_per_second{horizon="30s",quantile="0.5"} 1000000
sentinel_forecast_bytes_per_second{horizon="120s",quantile="0.5"} 4000000
sentinel_forecast_bytes_per_second{horizon="120s",quantile="0.95"} 5000000
# TYPE sentinel_of_tomorrow gauge
sentinel_of_tomorrow{strange="yes"} 1
"""


def node(at_s, sent, dropped=0, name="n1"):
    return parsed(name, at_s, TEXT % (sent, dropped))


def drawn(looked, history, paper=None):
    shown, paper = history.add(looked), paper or view.Paper()
    console = Console(width=paper.columns, record=True, file=None, force_terminal=False)
    with console.capture() as said:
        console.print(view.picture(looked, shown, history, view.Choice(), paper))
    return said.get()


def test_two_looks_make_rates():
    gold = next(line for line in lines(node(10.0, 1_000_000, 5), node(12.0, 5_000_000, 9)) if line.name == "gold")
    assert (gold.bytes_per_s, gold.drops_per_s) == (2_000_000.0, 2.0)
    assert (gold.tier, gold.fill, gold.p99_s) == ("B", 0.5, 0.0025)


def test_counters_that_began_anew_make_no_negative_rate():
    assert all(line.bytes_per_s == 0 for line in lines(node(1.0, 9_000_000), node(2.0, 10)))


def test_the_picture_shows_what_it_carries_holds_and_expects():
    history = view.History()
    drawn([node(0.0, 0)], history)
    said = drawn([node(1.0, 1_500_000)], history)
    assert "1 of 1 nodes answer" in said
    assert "pool 4 MiB: 50% granted, 12% held" in said
    assert "in 60s 2.0 MB/s to 3.0 MB/s" in said
    row = next(line for line in said.splitlines() if "gold" in line)
    assert row.split()[:6] == ["n1", "eth0", "gold", "B", "1.5", "MB/s"]
    assert "▁█" in row
    assert "█████·····" in row
    assert "2.5 ms" in row


def test_what_is_expected_stands_behind_what_was_on_the_same_scale():
    history = view.History()
    drawn([node(0.0, 0)], history)
    said = drawn([node(1.0, 8_000_000)], history)
    assert "expect in 30s, 60s, 120s (median)" in said
    assert "▁█│▂▃▅ in 120s 4.0 MB/s (95th: 5.0 MB/s)" in said


def test_an_agent_that_tells_less_is_drawn_with_what_it_tells():
    older = parsed("n1", 0.0, 'sentinel_class_bytes_total{interface="eth0",class="gold"} 5\n')
    said = drawn([older], view.History())
    assert next(line for line in said.splitlines() if "gold" in line).split()[:4] == ["n1", "eth0", "gold", "?"]
    assert "expect" not in said


def test_names_stay_whole_where_it_is_narrow():
    said = drawn([node(0.0, 0, name="node-of-east-17")], view.History(), view.Paper(columns=84))
    assert "node-of-east-17  eth0  gold" in said
    assert "SIGNS" not in said


def test_what_finds_no_room_is_counted_and_the_keys_stay_in_sight():
    many = [node(0.0, 0, name=f"n{number}") for number in range(20)]
    many += [Node(f"dead{number}", 0.0, error="no answer within 2 s") for number in range(20)]
    said = drawn(many, view.History(), view.Paper(rows=30)).splitlines()
    assert len(said) <= 30
    assert any(line.startswith("and ") and "/ shows only" in line for line in said)
    assert any("and 14 more that do not answer" in line for line in said)
    assert "q quit" in said[-1]


@pytest.mark.parametrize(("key", "first"), [("t", "gold"), ("n", "bulk"), ("r", "gold"), ("p", "gold")])
def test_each_key_sorts(key, first):
    shown = lines(node(0.0, 0), node(1.0, 10))
    assert ordered(shown, key)[0].name == first


def test_typing_filters_and_escape_shows_all_again():
    choice = view.Choice()
    assert keys.obey(choice, "/goldx\x7f\r")
    assert (choice.wanted, choice.typing) == ("gold", False)
    assert [line.name for line in ordered(lines(None, node(0.0, 0)), "t", choice.wanted)] == ["gold"]
    assert keys.obey(choice, "\x1b[A"), "an arrow is no escape"
    assert choice.wanted == "gold"
    keys.obey(choice, "\x1b")
    assert choice.wanted == ""
    assert keys.obey(choice, "d")
    assert choice.order == "d"
    assert not keys.obey(choice, "q")


def test_an_agent_that_does_not_answer_is_one_line_and_keeps_nobody_waiting():
    looked = look([("n9", "127.0.0.1:1")])
    assert "nobody listens there" in drawn(looked, view.History())


@pytest.mark.parametrize("address", ["n1:", "n1:0", "n1:http", ":9465", "n1:70000"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(Invalid, match="HOST:PORT"):
        targets([address])


def test_addresses_may_leave_out_the_port():
    assert targets(["n1", "[fd00::1]", "n2:1"]) == (
        ("n1", "n1:9465"), ("[fd00::1]", "[fd00::1]:9465"), ("n2:1", "n2:1"),
    )  # fmt: skip


@pytest.fixture
def served():
    """An HTTP server that counts up; its address."""
    looks = iter(range(1, 100))

    with answering(
        lambda path: (TEXT % (1_000_000 * next(looks), 0)).encode() if path == "/metrics" else b"{}"
    ) as address:
        yield address


@contextmanager
def answering(said):
    """`said`: what a path gives, as bytes; nothing is a 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = said(self.path)
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_once_as_json_is_one_object(served):
    result = CliRunner().invoke(top, [served, "--once", "--json"])
    told = json.loads(result.output)
    gold = next(each for each in told["classes"] if each["name"] == "gold")
    assert gold["bytes_per_s"] > 0
    assert told["nodes"][0]["poolBytes"]["total"] == 4_194_304


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body>Welcome!</body></html>", "are no metrics"),
        (b"node_load1 0.3\n", "tells of no class"),
        (b"\xff\xfe", "are no metrics"),
        (b"", "answers 404"),
    ],
    ids=["a page for people", "another exporter", "no text", "nothing"],
)
def test_what_is_no_agent_is_one_line(body, words):
    with answering(lambda _: body) as address:
        (told,) = look([("n1", address)])
    assert words in told.error
    assert "\n" not in told.error


def test_what_speaks_another_protocol_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=greet, args=(listening,), daemon=True).start()
        (told,) = look([("n1", f"127.0.0.1:{listening.getsockname()[1]}")])
    assert "speaks no HTTP" in told.error


def greet(listening):
    """As sshd does, and goes on only when the other side has gone."""
    made, _ = listening.accept()
    with made, suppress(OSError):
        made.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        while made.recv(4096):
            pass


def test_nobody_there_is_an_error_that_says_what_to_do():
    result = CliRunner().invoke(top, ["127.0.0.1:1", "--once"])
    assert isinstance(result.exception, Transient)
    assert "kubectl get bufn" in str(result.exception)


@pytest.mark.parametrize(("args", "word"), [(["--json"], "--once"), ([], "no terminal")])
def test_what_it_cannot_do_is_one_sentence(args, word):
    result = CliRunner().invoke(top, args)
    assert isinstance(result.exception, Invalid)
    assert word in str(result.exception)
