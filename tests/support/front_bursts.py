"""Bursts of datagrams through a front's address, and what its buffer nodes had made of them by then."""

import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from sentinel_lab.traffic.orders import SendOrder, Stream
from sentinel_lab.traffic.patterns import schedule
from support import shipped
from support.cluster.provider import Cluster
from support.front import BUFFERS, FEED_PORT, PORT

METRICS_PORT = 9465
HERE = "/proc/self/ns/net"  # the sender stays in our own network
LOOK_EVERY_S = 0.2
SCALE = 0.3  # 3 MB/s in bursts of two seconds, a tenth of it in the eight seconds between them
PERIOD_S = 10.0
GAP_S = 1.0  # long after a burst's queue has drained, and before the next one is due
HEAD_START_S = 0.5
DRAIN_BITS_PER_SECOND = 12_800_000  # 1.6 MB/s: a burst brings 2.8 MB more than leaves in its time
FLOOR_BYTES = 65_536  # full 50 ms after a burst began, and so before who only reacts has seen it
CALM_BYTES = 131_072  # all floors together: what more is lent to idle classes would hide who foresaw


@dataclass(frozen=True)
class Look:
    """The limit of the feed's queue at each node, and what all dropped since its beginning."""

    at: float
    limits: dict[str, float]
    drops: float

    @property
    def limit(self) -> float:
        """The widest."""
        return max(self.limits.values())


@dataclass(frozen=True)
class Burst:
    """What one burst met: the limit before its first packet, and how many of its packets were dropped."""

    onset: float
    room: float
    dropped: float


@dataclass
class Feed:
    """Bursts under way, and all that was seen so far."""

    onsets: tuple[float, ...]
    looks: list[Look] = field(default_factory=list)
    sending: bool = True

    def bursts(self, since: float, until: float) -> list[Burst]:
        """Those that began and ended in between."""
        whole = [onset for onset in self.onsets if since <= onset and onset + PERIOD_S - GAP_S <= until]
        return [
            Burst(
                onset,
                room=self._before(onset).limit,
                dropped=self._before(onset + PERIOD_S - GAP_S).drops - self._before(onset).drops,
            )
            for onset in whole
        ]

    def _before(self, moment: float) -> Look:
        return max((look for look in self.looks if look.at <= moment), key=lambda look: look.at)


def exposed(cluster: Cluster, node: str, port: int = METRICS_PORT) -> str:
    """All that the node's agent tells of itself, or who else answers there."""
    url = f"http://{cluster.address(node)}:{port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        found: str = answer.read().decode()
    return found


def metrics(cluster: Cluster, node: str) -> dict[str, float]:
    """What the node's agent tells of the feed: `drops` and `limit`."""
    text = exposed(cluster, node)
    wanted = {"sentinel_class_drops_total": "drops", "sentinel_class_limit_bytes": "limit"}
    found = dict.fromkeys(wanted.values(), 0.0)
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name in wanted and each.labels["class"] == "feed":
                found[wanted[each.name]] += each.value
    return found


@contextlib.contextmanager
def bursting(cluster: Cluster, address: str, seconds: float) -> Iterator[Feed]:
    """Ten times the calm rate in two of every ten seconds; the nodes are looked at all the while."""
    stream = Stream(port=FEED_PORT, pattern="periodic", packet_bytes=1000, scale=SCALE)
    order = SendOrder(namespace=HERE, address=address, seconds=seconds, streams=(stream,))
    command = [sys.executable, "-m", "sentinel_lab.traffic.sender"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdin.write(order.model_dump_json() + "\n")
        sender.stdin.flush()
        assert sender.stdout.readline() == "ready\n"
        start = time.monotonic() + HEAD_START_S
        sender.stdin.write(f"{int(start * 1e9)}\n")
        sender.stdin.flush()
        feed = Feed(tuple(start + begin for begin, _ in schedule("periodic", seconds).bursts))
        looking = threading.Thread(target=_look_on, args=(cluster, feed))
        looking.start()
        try:
            yield feed
        finally:
            feed.sending = False
            looking.join()
            sender.terminate()


def _look_on(cluster: Cluster, feed: Feed) -> None:
    """An agent that starts again answers nothing for a moment."""
    while feed.sending:
        with contextlib.suppress(OSError):
            at = time.monotonic()
            every = {node: metrics(cluster, node) for node in BUFFERS}
            limits = {node: each["limit"] for node, each in every.items()}
            feed.looks.append(Look(at, limits, sum(each["drops"] for each in every.values())))
        time.sleep(LOOK_EVERY_S)


def feeding(cluster: Cluster, min_events: int) -> None:
    """The feed is a class of its own on a slow link; so many alarms are judged before any is acted on."""
    shop = {"name": "shop", "profile": "llm", "match": [{"port": PORT}]}
    match = [{"protocol": "UDP", "port": FEED_PORT}]
    feed = {"name": "feed", "floorBytes": FLOOR_BYTES, "maxDelayMillis": 4000, "weight": 80, "match": match}
    spec = {
        "trafficClasses": [shop, feed],
        "dataPlane": {"interfaces": [{"rateBitsPerSecond": DRAIN_BITS_PER_SECOND}]},
        "model": {"gate": {"minEvents": min_events}},
        "pool": {"minBytes": CALM_BYTES},
    }
    settle(cluster, spec)


def settle(cluster: Cluster, spec: dict) -> None:
    """The change is on every node."""
    cluster.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps({"spec": spec}))
    generation = (shipped.get(cluster, "bufc", "front") or {})["metadata"]["generation"]

    def done() -> bool:
        found = shipped.get(cluster, "bufc", "front") or {}
        ready = [each for each in found["status"]["conditions"] if each["type"] == "Ready"]
        seen = ready[0].get("observedGeneration", 0) >= generation and ready[0]["status"] == "True"
        return seen and found["status"]["rollout"]["phase"] == "Done"

    shipped.until(cluster, "every node runs what was asked for", done)
