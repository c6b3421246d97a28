"""More than a node was made for: ten times the rate, and a million flows; what bears it, and in how much memory."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest

from sentinel_lab.bench.tick import measured
from sentinel_lab.topology import NODE_DEVICE, SENDER
from support.agent import CONFIG, PORT, Agent
from support.load import Load, figure
from support.netns import bottleneck

BYSTANDER = 9002
POOL_BYTES = 262_144  # a quarter of what the flooded class may hold by its own delay: so the pool is what binds
GROWTH_BYTES = 8 << 20  # what allocators take in steps; the flood is 60 MB

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def node():
    with bottleneck((PORT, BYSTANDER)) as made:
        yield made


def anonymous_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def lost_on_the_cable(node) -> int:
    """A cable holds few packets: what a busy machine does not take off it in time never comes to the node."""
    (shown,) = json.loads(node.spaces[SENDER].ip("-json", "-statistics", "link", "show", "out"))
    return int(shown["stats64"]["tx"]["dropped"])


def middle(looks: list[dict], name: str, what: str) -> float:
    """Of the looks at which something of the class was timed."""
    return median(each["classes"][name][what] for each in looks if each["classes"][name][what] is not None)


def looked_at(agent: Agent, times: int) -> list[dict]:
    looks = []
    for _ in range(times):
        agent.ticked_on(3)
        looks.append(agent.state())
    return looks


@pytest.mark.slow
def test_ten_times_the_rate_is_borne_by_its_own_class_in_bounded_memory_and_no_bystander_waits_with_it(node, agent):
    rate = 8_000_000
    patient = [each | {"maxDelayMillis": 1_000} for each in CONFIG["trafficClasses"]]
    classes = [*patient, {"name": "calm", "match": [{"protocol": "UDP", "port": BYSTANDER}]}]
    interface = {"name": NODE_DEVICE, "rateBitsPerSecond": rate}
    pool = {"minBytes": 65_536, "maxBytes": POOL_BYTES}
    process = agent.start({"trafficClasses": classes, "pool": pool, "dataPlane": {"interfaces": [interface]}})
    agent.until(lambda: bool(agent.state()["model"]["inUse"]), "the model is loaded, whose memory is not the flood's")
    calm = Load(node, BYSTANDER, packets_per_s=50, size=200)
    flood = Load(node, PORT, packets_per_s=10 * rate // 8 // 1250, size=1208)
    missed = lost_on_the_cable(node)
    with calm, flood:
        agent.until(lambda: agent.state()["pool"]["heldBytes"] > POOL_BYTES / 2, "the pool is filled")
        looked_at(agent, 5)
        before = anonymous_bytes(process.pid)
        looks = looked_at(agent, 20)
        grown = anonymous_bytes(process.pid) - before
    missed = lost_on_the_cable(node) - missed
    assert calm.lost() <= missed, "no more than never came to the node"
    assert flood.lost() > missed
    assert max(each["classes"]["bulk"]["capBytes"] for each in looks) > POOL_BYTES, "the pool would not be what binds"
    assert max(each["pool"]["heldBytes"] for each in looks) <= POOL_BYTES
    assert all(each["classes"]["bulk"]["limitBytes"] <= each["classes"]["bulk"]["capBytes"] for each in looks)
    assert all(each["pool"]["grantedBytes"] <= each["pool"]["totalBytes"] == POOL_BYTES for each in looks)
    assert grown <= GROWTH_BYTES, "the agent keeps something for each packet or drop"
    quiet = [each["classes"]["calm"] for each in looks]
    assert all(each["backlogBytes"] <= each["staticBytes"] <= each["limitBytes"] for each in quiet)
    waits = {name: middle(looks, name, "sojournMicrosP99") for name in ("bulk", "calm")}
    assert waits["calm"] < waits["bulk"] / 4, "the bystander waits with the flood"
    times = [sum(row[1:-1]) / 1e6 for row in agent.ticks()]
    figure(
        "10x overload",
        sent=flood.sent,
        dropped=flood.lost(),
        bystander_sent=calm.sent,
        bystander_lost=calm.lost(),
        bystander_queue_p99_us=waits["calm"],
        flooded_queue_p99_us=waits["bulk"],
        most_held_bytes=max(each["pool"]["heldBytes"] for each in looks),
        pool_bytes=looks[0]["pool"]["totalBytes"],
        grown_bytes=grown,
        ticks_missed=agent.counted("sentinel_ticks_missed_total", ""),
        tick_p99_ms=sorted(times)[int(0.99 * len(times))],
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_flows_cost_the_agent_no_memory_of_its_own():
    """They are the kernel's; the agent reads so many a second, however many there are."""
    metrics, rows = measured(1_000_000, 20.0)
    ticks = next(row for row in rows if row["what"] == "ticks")
    kept = ("tick_p99_ms", "tick_cpu_p99_ms", "cpu_percent", "rss_mib", "bpf_maps_mib")
    figure("1 M flows", **{name: metrics[name] for name in kept}, ticks=ticks["measured"], missed=ticks["missed"])
    assert ticks["measured"] > 0
    assert metrics["bpf_maps_mib"] > 150
    assert metrics["rss_mib"] <= 150
