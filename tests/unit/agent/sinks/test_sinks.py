"""Sinks against a real HTTP receiver: what arrives can be read, and nobody waits for a silent one."""

import json
import queue
import threading

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from sentinel_agent.settings import settings
from sentinel_agent.sinks import chosen, influx, otlp
from sentinel_agent.sinks.sink import KEPT, Sink, Target
from sentinel_api.errors import Invalid
from support.receiver import receiver

PATIENCE_S = 30


def families():
    depth = GaugeMetricFamily("depth_bytes", "How deep.", labels=["class"])
    depth.add_metric(["a b,c=d"], 1.5)
    depth.add_metric(["empty"], float("nan"))
    took = HistogramMetricFamily("took_seconds", "How long.")
    took.add_metric([], [("0.1", 3), ("1.0", 5), ("+Inf", 6)], 4.5)
    return [depth, CounterMetricFamily("seen", "How many.", 7), took]


@pytest.fixture
def received():
    with receiver() as made:
        yield made


def started(made, encode=lambda _at: b"batch", every_s=0.01):
    sink = Sink("test", Target(f"{made.url}/write", {"Content-Type": "text/plain"}), encode, every_s)
    sink.start()
    return sink


def until(true):
    """Ends a hang only; the test's timeout would do it less clearly."""
    waited = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if true():
            return
        waited.wait(0.01)
    raise AssertionError("waited in vain")


def test_line_protocol_escapes_labels_and_leaves_out_what_is_no_number():
    found = influx.lines(families(), "n1", 5).decode().splitlines()
    assert found[0] == r"depth_bytes,class=a\ b\,c\=d,node=n1 value=1.5 5"
    assert found[1] == "seen_total,node=n1 value=7.0 5"
    assert len(found) == 1 + 1 + 5, "three buckets, a count and a sum"


def test_otlp_counts_each_bucket_alone_and_marks_counters_as_cumulative():
    told = json.loads(otlp.request(families(), "n1", 5))["resourceMetrics"][0]
    assert {"key": "host.name", "value": {"stringValue": "n1"}} in told["resource"]["attributes"]
    depth, seen, took = told["scopeMetrics"][0]["metrics"]
    assert (depth["unit"], len(depth["gauge"]["dataPoints"])) == ("By", 1)
    assert (seen["sum"]["isMonotonic"], seen["sum"]["dataPoints"][0]["asDouble"]) == (True, 7)
    (spread,) = took["histogram"]["dataPoints"]
    assert (spread["bucketCounts"], spread["explicitBounds"]) == (["3", "2", "1"], [0.1, 1.0])
    assert (spread["count"], spread["sum"]) == ("6", 4.5)


def test_otlp_keeps_histograms_of_different_labels_apart():
    waited = HistogramMetricFamily("waited_seconds", "How long.", labels=["class"])
    waited.add_metric(["gold"], [("0.1", 3), ("+Inf", 5)], 1.0)
    waited.add_metric(["bulk"], [("0.1", 0), ("+Inf", 9)], 2.0)
    told = json.loads(otlp.request([waited], "n1", 5))["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
    found = {
        spread["attributes"][0]["value"]["stringValue"]: (spread["bucketCounts"], spread["sum"])
        for spread in told["histogram"]["dataPoints"]
    }
    assert found == {"gold": (["3", "2"], 1.0), "bulk": (["0", "9"], 2.0)}


def test_what_a_sink_sends_arrives_with_its_headers(received, tmp_path):
    (tmp_path / "token").write_text("secret\n")
    env = {
        "SENTINEL_INFLUX_URL": f"{received.url}/api/v2/write?bucket=b",
        "SENTINEL_INFLUX_TOKEN_FILE": str(tmp_path / "token"),
        "SENTINEL_OTLP_ENDPOINT": received.url,
        "SENTINEL_SINK_SECONDS": "1",
    }
    made = chosen(settings(env).sinks, "n1", families)
    for sink in made:
        sink.start()
    arrived = {each.path: each for each in (received.posted.get(timeout=PATIENCE_S) for _ in range(2))}
    for sink in made:
        sink.stop()
    assert arrived["/api/v2/write?bucket=b"].headers["Authorization"] == "Token secret"
    assert b"depth_bytes" in arrived["/api/v2/write?bucket=b"].body
    assert json.loads(arrived["/v1/metrics"].body)["resourceMetrics"]


def test_without_settings_there_is_no_sink():
    assert chosen(settings({}).sinks, "n1", families) == ()


def test_what_waits_is_bounded_and_the_oldest_goes_first(received):
    numbers = iter(range(10**6))
    received.status = 503
    sink = started(received, lambda _at: str(next(numbers)).encode())
    until(lambda: sink.dropped > 2)
    assert sink.waiting <= KEPT
    received.status = 204
    received.posted = queue.Queue()
    until(lambda: sink.sent > 0)
    sink.stop()
    assert int(received.posted.get(timeout=PATIENCE_S).body) > 0


def test_a_batch_that_is_refused_for_good_is_not_offered_again(received):
    received.status = 400
    sink = started(received)
    until(lambda: sink.dropped >= 2)
    assert sink.waiting <= 1
    sink.stop()


def test_a_receiver_that_takes_and_never_answers_holds_only_the_sinks_own_thread(received):
    received.silent.set()
    sink = started(received)
    until(lambda: sink.waiting >= 1)
    sink.stop()  # at once: nobody joins a thread that waits for somebody else
    assert sink.sent == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENTINEL_INFLUX_URL", "influx:8086"),
        ("SENTINEL_OTLP_ENDPOINT", "file:///etc/passwd"),
        ("SENTINEL_SINK_SECONDS", "0"),
        ("SENTINEL_SINK_SECONDS", "soon"),
        ("SENTINEL_INFLUX_TOKEN_FILE", "/nowhere/token"),
    ],
)
def test_a_setting_that_cannot_work_is_one_sentence_that_says_what_does(name, value):
    with pytest.raises(Invalid, match=f"{name} is .*: (use|write|name) ") as refused:
        settings({name: value})
    assert "\n" not in str(refused.value)
