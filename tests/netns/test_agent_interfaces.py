"""What befalls an agent's interfaces, under load: what is lost is what came while one was away, and nothing beside."""

from __future__ import annotations

import pytest

from sentinel_api.errors import Transient
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE, SENDER, SINGLE_BOTTLENECK
from support.agent import CONFIG, PORT, queue_device
from support.load import Load, figure
from support.netns import bottleneck, wait_until

AWAY = 50  # packets: a tenth of a second, more than are ever under way

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def node():
    with bottleneck((PORT,)) as made:
        yield made


def further(load) -> int:
    """The number of a packet that is sent now, some while after those that are still under way."""
    due = load.sent + AWAY
    wait_until(lambda: load.sent > due + AWAY, "packets are sent on")
    return due


def told_of(load, outages) -> dict:
    """Every loss is of one of the outages: nothing else was lost before, between and after them."""
    gaps = load.gaps()
    beside = [gap for gap in gaps if not any(number in gap for number in outages)]
    assert not beside, f"packets {beside} were lost while the interface was there ({outages})"
    assert len(gaps) <= len(outages)
    return {"sent": load.sent, "lost": load.lost(), "lost_while_it_was_there": sum(map(len, beside))}


@pytest.mark.slow
def test_an_interface_that_goes_down_and_up_keeps_its_queue_and_loses_only_what_comes_meanwhile(node, agent):
    agent.start()
    queue = queue_device()
    with Load(node, PORT) as load:
        agent.ticked_on()
        run("ip", "link", "set", NODE_DEVICE, "down")
        down = further(load)
        agent.ticked_on(20)
        run("ip", "link", "set", NODE_DEVICE, "up")
        arrives_again(load)
        before = agent.unordered()
        agent.ticked_on(20)
        further(load)
        unordered_ms = (agent.unordered() - before) * load.pace_s * 1e3
    state = agent.state()
    told = {"without_orders_ms": unordered_ms, "ticks_failed": agent.failed()}
    figure("interface down for 20 ticks, up", **told_of(load, [down]), **told, gap_s=load.longest_silence_s)
    assert (state["tier"], queue_device(), agent.failed()) == ("B", queue, 0)


def arrives_again(load) -> None:
    arrived = load.arrived
    wait_until(lambda: load.arrived > arrived + AWAY, "packets arrive again")


def renamed(load, old: str, new: str) -> list[int]:
    """A packet of the outage that this costs on older kernels, where it must be down for it; else none."""
    try:
        run("ip", "link", "set", old, "name", new)
    except Transient:
        run("ip", "link", "set", old, "down")
        run("ip", "link", "set", old, "name", new)
        down = further(load)
        run("ip", "link", "set", new, "up")
        return [down]
    return []


@pytest.mark.slow
def test_an_interface_that_is_renamed_is_followed_and_loses_nothing(node, agent):
    agent.start()
    with Load(node, PORT) as load:
        agent.ticked_on()
        outages = renamed(load, NODE_DEVICE, "other")
        told_s = agent.seconds_until(
            lambda: "is called other now" in agent.state()["interfaces"][NODE_DEVICE]["note"], "it is told"
        )
        steered = agent.counted("sentinel_interface_steered", NODE_DEVICE)
        outages += renamed(load, "other", NODE_DEVICE)
        agent.until(lambda: not agent.state()["interfaces"][NODE_DEVICE]["note"], "its name is right again")
        agent.ticked_on(20)
    found = told_of(load, outages)
    figure("interface renamed, and back", **found, told_after_s=told_s, steered=steered, ticks_failed=agent.failed())
    assert (steered, agent.failed()) == (1, 0)


def joined_again(node) -> None:
    """A new device of that name, with a new cable to the sender."""
    link, (route, _) = SINGLE_BOTTLENECK.links[0], SINGLE_BOTTLENECK.routes
    sender = node.spaces[SENDER]
    run("ip", "link", "add", NODE_DEVICE, "type", "veth", "peer", "name", link.left.device, "netns", sender.name)
    run("ip", "address", "add", link.right.address, "dev", NODE_DEVICE)
    run("ip", "link", "set", NODE_DEVICE, "up")
    sender.ip("address", "add", link.left.address, "dev", link.left.device)
    sender.ip("link", "set", link.left.device, "up")
    sender.ip("route", "add", route.destination, "via", route.via)


@pytest.mark.slow
def test_an_interface_that_is_gone_is_waited_for_and_leaves_no_queue_behind(node, agent):
    process = agent.start()
    old = queue_device()
    with Load(node, PORT) as load:
        agent.ticked_on()
        run("ip", "link", "del", NODE_DEVICE)
        gone = further(load)
        told_s = agent.seconds_until(lambda: any("front is gone" in line for line in agent.said()), "it is told")
        assert process.poll() is None, "it lives on"
        joined_again(node)
        arrives_again(load)
        taken_s = agent.seconds_until(lambda: agent.state().get("tier") == "B", "the new one of that name is taken")
        before = agent.unordered()
        agent.ticked_on(20)
        further(load)
        unordered_ms = (agent.unordered() - before) * load.pace_s * 1e3
    found = told_of(load, [gone]) | {"without_orders_ms": unordered_ms}
    figure("interface gone, then another of its name", **found, told_after_s=told_s, taken_after_s=taken_s)
    assert queue_device() != old


@pytest.mark.slow
def test_two_interfaces_share_one_pool(node, agent):
    pool = 200_000
    interfaces = [{"name": name, "rateBitsPerSecond": 8_000_000} for name in (NODE_DEVICE, "back")]
    agent.start({**CONFIG, "pool": {"minBytes": 65_536, "maxBytes": pool}, "dataPlane": {"interfaces": interfaces}})
    state = agent.state()
    assert state["interfaces"].keys() == {NODE_DEVICE, "back"}
    assert state["tier"] == "B"
    most = 0
    with Load(node, PORT, packets_per_s=2_000):
        agent.until(lambda: agent.state()["classes"][f"bulk on {NODE_DEVICE}"]["backlogBytes"] > 20_000, "it fills")
        for _ in range(20):
            shown = agent.state()
            most = max(most, sum(each["limitBytes"] for each in shown["classes"].values()))
            assert most <= pool
            assert shown["pool"]["grantedBytes"] <= shown["pool"]["totalBytes"] == pool
    run("ip", "link", "del", "back")
    agent.until(lambda: "unread" in agent.state().get("interfaces", {}).get("back", {}), "the one that is gone is told")
    assert agent.state()["interfaces"][NODE_DEVICE]["tier"] == "B", "the other is steered on"
    figure("two interfaces on one pool, one of them removed", pool_bytes=pool, most_granted_bytes=most)
