"""A queue's device that another version left is set aside while it goes on, and goes once it is empty.

A discipline of the kernel's own stands for the other version's here; the whole is tried in the VM lane."""

from __future__ import annotations

import socket

import pytest

from netns.test_detour import PORT, Way, traffic
from sentinel_api.errors import Transient
from sentinel_bpf.buffer import choice, discipline, qdisc, standing, succession
from sentinel_bpf.buffer.plumbing import ALIAS_CLSACT, Plumbing, queue_device
from sentinel_bpf.buffer.port import Direction, Interface, Tier, Toll
from sentinel_bpf.buffer.programs import PROGRAMS
from sentinel_lab.namespaces import run
from support.netns import bottleneck, wait_until, without_ipv6
from support.tier_a import EXIT_DEVICE, agent_object, home

NAME = queue_device(4711)
ASIDE = NAME + succession.ASIDE
THEIRS = "bfifo"


@pytest.fixture
def left(monkeypatch):
    """A device with a queue of theirs, up and of a known alias."""
    monkeypatch.setattr(succession, "left_by_another", lambda kind: kind == THEIRS)
    with bottleneck(()):
        run("ip", "link", "add", NAME, "type", "ifb")
        run("ip", "link", "set", NAME, "up", "alias", ALIAS_CLSACT)
        run("tc", "qdisc", "add", "dev", NAME, "root", "handle", "5f28:", THEIRS, "limit", "100000")
        yield


def devices():
    return {line.split(":")[1].strip().split("@")[0] for line in run("ip", "-o", "link").splitlines()}


def test_it_goes_on_aside_then_hands_its_alias_on_and_goes(left, tmp_path):
    with succession.Succession(NAME) as made:
        made.set_aside()
        assert ASIDE in devices()
        assert NAME not in devices()
        assert THEIRS in run("tc", "qdisc", "show", "dev", ASIDE)
        assert "UP" in run("ip", "-o", "link", "show", ASIDE)
        run("ip", "link", "add", NAME, "type", "ifb")
        made.inherit()
        assert ALIAS_CLSACT in run("ip", "-o", "link", "show", NAME)
        made.finish(tmp_path)
    assert {NAME} == {NAME, ASIDE} & devices()


def test_a_second_one_is_not_set_aside_before_the_first_is_gone(left, tmp_path):
    with succession.Succession(NAME) as made:
        assert made.next_to_one_aside() == 0
        made.set_aside()
        assert made.next_to_one_aside() == 0, "nothing stands in its place yet"
        run("ip", "link", "add", NAME, "type", "ifb")
        assert made.next_to_one_aside() == 0, "what stands there is ours"
        run("tc", "qdisc", "add", "dev", NAME, "root", "handle", "5f28:", THEIRS, "limit", "100000")
        assert made.next_to_one_aside() == socket.if_nametoindex(NAME)
        with pytest.raises(Transient, match="try again"):
            made.set_aside()
        made.finish(tmp_path)
        made.set_aside()
        assert {ASIDE} == {NAME, ASIDE} & devices()


def test_a_queue_of_our_own_version_stays_where_it_is(left, monkeypatch):
    monkeypatch.setattr(succession, "left_by_another", lambda _kind: False)
    with succession.Succession(NAME) as made:
        made.set_aside()
    assert NAME in devices()
    assert ASIDE not in devices()


def test_only_our_own_names_of_other_versions_are_taken_for_ours():
    ours = succession.discipline.KIND
    other = succession.discipline.OPERATIONS + "999"
    assert succession.left_by_another(other)
    assert not any(succession.left_by_another(each) for each in (ours, "htb", "", f"{other}x", f"x{other}"))


def test_what_another_version_left_on_the_way_out_is_told_and_goes_by_detaching(monkeypatch):
    monkeypatch.setattr(qdisc, "left_by_another", lambda kind: kind == THEIRS)
    with bottleneck(()), agent_object(PROGRAMS) as agent:
        run("tc", "qdisc", "add", "dev", EXIT_DEVICE, "root", "handle", "5e17:", THEIRS, "limit", "100000")
        chosen, verdict = choice.best(Interface(EXIT_DEVICE, Direction.EGRESS, 10**6), agent, home(), 10**6)
        assert (verdict.tier, "detach it first" in verdict.why) == (Tier.OBSERVE, True)
        assert THEIRS in run("tc", "qdisc", "show", "dev", EXIT_DEVICE)
        chosen.detach()
        assert THEIRS not in run("tc", "qdisc", "show", "dev", EXIT_DEVICE)


def test_what_another_version_left_on_the_way_out_gives_way_under_traffic(monkeypatch):
    """A discipline of the kernel's stands for ours, too: this kernel need not have any in BPF."""
    monkeypatch.setattr(qdisc, "left_by_another", lambda kind: kind == THEIRS)
    monkeypatch.setattr(discipline, "KIND", "pfifo_fast")
    with bottleneck((PORT,)) as wires, agent_object(PROGRAMS) as agent:
        run("tc", "qdisc", "add", "dev", EXIT_DEVICE, "root", "handle", "5e17:", THEIRS, "limit", "100000")
        way = Way(wires)
        way.send(1)
        wait_until(way.all_arrived, "the first packet, after which the neighbour is known")
        ours, toll = qdisc.QdiscBuffer(Interface(EXIT_DEVICE, Direction.EGRESS, 10**8), agent, home()), Toll()
        with Plumbing(ours._major) as plumbing, traffic(way):
            ours._take_over(plumbing, way.index, THEIRS, toll)
        wait_until(way.all_arrived, "all that was sent")
        way.close()
        assert sorted(way.arrived) == list(range(way.sent))
        assert run("tc", "qdisc", "show", "dev", EXIT_DEVICE).startswith("qdisc pfifo_fast 5e17: root")
        assert agent.map("sn_queue_place").get(0)["ifindex"] == way.index
        assert (toll.packets, toll.why) == (0, [])


@pytest.fixture
def theirs(monkeypatch):
    """A queue of theirs on the way out, and a buffer of ours that is to take its place."""
    monkeypatch.setattr(qdisc, "left_by_another", lambda kind: kind == THEIRS)
    monkeypatch.setattr(discipline, "KIND", "pfifo_fast")
    with bottleneck((PORT,)) as wires, agent_object(PROGRAMS) as agent:
        without_ipv6()
        run("tc", "qdisc", "add", "dev", EXIT_DEVICE, "root", "handle", "5e17:", THEIRS, "limit", "100000")
        way = Way(wires)
        way.send(1)
        wait_until(way.all_arrived, "the first packet, after which the neighbour is known")
        yield way, qdisc.QdiscBuffer(Interface(EXIT_DEVICE, Direction.EGRESS, 10**8), agent, home())
        way.close()


def stand(*qdisc):
    """In the place of theirs, under its handle."""
    run("tc", "qdisc", "del", "dev", EXIT_DEVICE, "root")
    run("tc", "qdisc", "add", "dev", EXIT_DEVICE, "root", "handle", "5e17:", *qdisc)


def refuse(*_):
    raise Transient("a test refuses it")


def test_an_exchange_that_fails_half_way_puts_theirs_back_and_loses_nothing(theirs, monkeypatch):
    way, ours = theirs
    kind, add = "pfifo_fast", Plumbing.add_root  # like ours, one that is made without options
    monkeypatch.setattr(qdisc, "left_by_another", lambda found: found == kind)
    monkeypatch.setattr(discipline, "KIND", "none of this kernel's")
    stand(kind)

    def refused(plumbing, index, which):
        if which == discipline.KIND:
            refuse()
        add(plumbing, index, which)

    monkeypatch.setattr(Plumbing, "add_root", refused)
    with Plumbing(ours._major) as plumbing, traffic(way), pytest.raises(Transient):
        ours._take_over(plumbing, way.index, kind, Toll())
    wait_until(way.all_arrived, "all that was sent")
    assert sorted(way.arrived) == list(range(way.sent))
    assert run("tc", "qdisc", "show", "dev", EXIT_DEVICE).startswith(f"qdisc {kind} 5e17: root")


def test_an_exchange_that_cannot_begin_leaves_theirs_where_it_is(theirs, monkeypatch):
    way, ours = theirs
    monkeypatch.setattr(Plumbing, "remove_root", refuse)
    with Plumbing(ours._major) as plumbing, pytest.raises(Transient):
        ours._take_over(plumbing, way.index, THEIRS, Toll())
    way.send(5)
    wait_until(way.all_arrived, "all that was sent")
    assert run("tc", "qdisc", "show", "dev", EXIT_DEVICE).startswith(f"qdisc {THEIRS} 5e17: root")


def test_what_a_device_does_not_take_in_time_is_dropped_and_told(theirs, monkeypatch):
    """A token bucket stands for the queue and for the device that is too slow for it: it sends next to nothing."""
    way, ours = theirs
    monkeypatch.setattr(qdisc, "left_by_another", lambda kind: kind == "tbf")
    monkeypatch.setattr(standing, "STALL_S", 0.2)
    stand("tbf", "rate", "8bit", "burst", "1600", "limit", "100000")
    way.send(100)
    toll = Toll()
    with Plumbing(ours._major) as plumbing:
        stood = plumbing.waiting(way.index)
        ours._take_over(plumbing, way.index, "tbf", toll)
    assert 0 < toll.packets <= stood
    # What the stack says of its own accord may stand there, too, and be told with the others.
    wait_until(lambda: len(way.look()) + toll.packets >= way.sent, "all but what is told as lost")
    assert toll.why == [f"{toll.packets} packets still stood in tbf of {EXIT_DEVICE} when it was taken away"]
