"""An exchange of tier A's versions that is slow, fails or is killed half way: what stood there arrives, or is told."""

from __future__ import annotations

import os
import signal

import pytest

from sentinel_api.errors import Transient
from sentinel_bpf.buffer import discipline, holding, pace
from sentinel_bpf.buffer.plumbing import Plumbing
from sentinel_bpf.buffer.port import QueueClass
from sentinel_bpf.buffer.qdisc import QdiscBuffer, _spot
from sentinel_lab.namespaces import run
from support import tier_a_node, tier_a_versions
from support.netns import wait_until
from support.tier_a import EXIT_DEVICE
from support.tier_a_versions import FAST, OTHER, ROOM, THERE, A, as_that_version

wires, other_home, leaving = tier_a_node.wires, tier_a_versions.other_home, tier_a_versions.leaving  # fixtures
SLOWEST = 12_500  # bytes a second: 300 packets stand for 25 s, which is three times the patience of an exchange
STOOD = 60
WIDE = [QueueClass(each, FAST // 2, FAST, ROOM) for each in (0, A)]


def root():
    return run("tc", "qdisc", "show", "dev", EXIT_DEVICE).split()[1]


def words(home, kind):
    """Rate and ceilings of the queue on the way out, as that version reads them."""
    return [each.tolist() for each in pace._paces(pace.folder(home.pins.parent, kind), _spot(index()))]


def index():
    with Plumbing(0) as plumbing:
        return plumbing.index(EXIT_DEVICE)


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_child_that_dies(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def gone(other_home, monkeypatch):
    """Whether that version could be registered anew: the kernel takes a name only once."""
    assert not list(other_home.pins.glob("*"))
    with as_that_version(monkeypatch):
        discipline.open_discipline(other_home.object_path, other_home.pins)
        discipline.give_up(other_home.object_path, other_home.pins, _spot(index()))
    return not list(other_home.pins.glob("*"))


def test_ceilings_of_the_old_version_hold_nothing_back(leaving, other_home, monkeypatch):
    with as_that_version(monkeypatch):
        before = QdiscBuffer(THERE, leaving.agent, other_home)
        before.configure([QueueClass(each, 1, SLOWEST, ROOM) for each in (0, A)])
    leaving.send(A, 240)
    assert before.read()[A].backlog_packets > 0
    after = leaving.buffer(FAST)
    toll = after.configure(WIDE)
    wait_until(lambda: leaving.received(A) == STOOD + 240, "all that stood there")
    assert (toll.packets, toll.why) == (0, [])
    toll = after.detach()
    assert (toll.packets, toll.why) == (0, [])


def test_what_cannot_take_its_place_leaves_it_as_it_was(leaving, other_home, monkeypatch):
    paced = words(other_home, OTHER)
    assert paced[0] == [THERE.rate_bytes_per_s]
    after, add = leaving.buffer(FAST), Plumbing.add_root

    def refused(plumbing, where, kind):
        if kind == discipline.KIND:
            raise Transient("a test refuses it")
        add(plumbing, where, kind)

    with monkeypatch.context() as broken:
        broken.setattr(Plumbing, "add_root", refused)
        with pytest.raises(Transient):
            after.configure(WIDE)
    assert (root(), words(other_home, OTHER)) == (OTHER, paced)
    assert not list(discipline.folder().glob("*")), "ours is not left registered for nobody"
    leaving.send(A, 20)
    after.configure(WIDE)
    wait_until(lambda: leaving.received(A) == STOOD + 20, "all that was sent, through one and the other")
    after.detach()
    assert gone(other_home, monkeypatch)


def test_what_cannot_be_taken_down_keeps_its_pace(leaving, other_home, monkeypatch):
    after = leaving.buffer(FAST)
    after.configure([QueueClass(each, FAST // 2, FAST // 2, ROOM) for each in (0, A)])
    paced = words(after._home, discipline.KIND)
    assert (paced[0], paced[1][A]) == ([FAST], FAST // 2)

    def refused(*_):
        raise Transient("a test refuses it")

    with monkeypatch.context() as broken:
        broken.setattr(Plumbing, "remove_root", refused)
        with pytest.raises(Transient):
            after.detach()
    assert (root(), words(after._home, discipline.KIND)) == (discipline.KIND, paced)
    after.detach()
    assert not list(discipline.folder().glob("*"))


@pytest.mark.parametrize("at", ["remove_root", "add_root"])
def test_who_is_killed_in_the_middle_has_an_heir(leaving, other_home, monkeypatch, at):
    """Before the old queue is gone, and between it and ours."""
    with monkeypatch.context() as deadly:
        deadly.setattr(Plumbing, at, die)
        in_a_child_that_dies(lambda: leaving.buffer(FAST).configure(WIDE))
    assert (root() == OTHER) == (at == "remove_root")
    wait_until(lambda: leaving.received(A) == STOOD, "all that stood there")
    leaving.send(A, 20)
    assert holding.sweep() == [f"sn-h{index()}"]
    heir = leaving.buffer(FAST)
    toll = heir.configure(WIDE)
    leaving.send(A, 20)
    wait_until(lambda: leaving.received(A) == STOOD + 40, "all that was sent")
    assert (root(), toll.packets) == (discipline.KIND, 0)
    assert gone(other_home, monkeypatch)
    heir.detach()
    assert not list(discipline.folder().glob("*"))


def test_who_is_killed_while_it_detaches_leaves_nothing_for_good(leaving, monkeypatch):
    heir = leaving.buffer(FAST)
    heir.configure(WIDE)
    with monkeypatch.context() as deadly:
        deadly.setattr(discipline, "give_up", die)
        in_a_child_that_dies(heir.detach)
    assert list(discipline.folder().glob("*")), "registered, and nobody's"
    leaving.buffer(FAST).detach()
    assert not list(discipline.folder().glob("*"))
