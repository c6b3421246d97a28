"""Where a queue of tier A stands: who may have the place, and what becomes of it when device or owner goes."""

from __future__ import annotations

import subprocess

import pytest

from sentinel_bpf.buffer import discipline
from sentinel_bpf.buffer.port import QueueClass, Tier
from support import tier_a_node
from support.netns import wait_until
from support.tier_a import EXIT_DEVICE, quiet
from support.tier_a_node import RATE, ROOM, SLOW, A, drained, wait_empty

node, out, queue = tier_a_node.node, tier_a_node.out, tier_a_node.queue  # fixtures


def test_a_device_that_goes_down_empties_the_queue_and_comes_back_clean(out, queue):
    out.send(A, 100)
    subprocess.run(["ip", "link", "set", EXIT_DEVICE, "down"], check=True)
    assert drained(queue)
    subprocess.run(["ip", "link", "set", EXIT_DEVICE, "up"], check=True)
    quiet(out.wires)
    before = out.received(A)
    out.send(A, 10)
    wait_empty(queue)
    wait_until(lambda: out.received(A) == before + 10, "10 packets")


def test_no_queue_stands_where_none_was_announced(out):
    added = subprocess.run(
        ["tc", "qdisc", "add", "dev", "lo", "root", discipline.KIND], check=False, capture_output=True, text=True
    )
    assert added.returncode != 0
    assert "No such device" in added.stderr


def test_a_second_queue_at_the_same_spot_is_refused_and_the_first_goes_on(out, queue):
    out.send(A, 50)
    again = subprocess.run(
        ["tc", "qdisc", "replace", "dev", EXIT_DEVICE, "root", "handle", "77:", discipline.KIND],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert again.returncode != 0
    assert "busy" in again.stderr
    wait_until(lambda: out.received(A) == 50, "50 packets")


def test_another_process_takes_the_queue_over_with_what_stands_in_it(out):
    classes = [QueueClass(0, 1, SLOW, ROOM), QueueClass(A, 1, SLOW, ROOM)]
    out.buffer(SLOW).configure(classes)
    out.send(A, 200)
    heir = out.buffer(RATE)
    heir.configure(classes)
    assert heir.read()[A].backlog_packets > 10
    heir.detach()
    wait_until(lambda: out.received(A) == 200, "200 packets")


def test_detaching_under_load_loses_nothing_and_leaves_the_device_as_it_was(out):
    show = ["tc", "qdisc", "show", "dev", EXIT_DEVICE]
    before = subprocess.run(show, check=True, capture_output=True).stdout
    buffer = out.buffer(RATE)
    buffer.configure([QueueClass(0, 1, RATE, ROOM), QueueClass(A, 1, RATE, ROOM)])
    out.send(A, 200)
    buffer.detach()
    out.send(A, 50)
    wait_until(lambda: out.received(A) == 250, "250 packets")
    assert subprocess.run(show, check=True, capture_output=True).stdout == before


@pytest.mark.parametrize("foreign", [("tbf", "rate", "1gbit", "burst", "9k", "limit", "1m"), ("htb",)])
def test_a_foreign_root_is_told_and_left_alone(out, foreign):
    subprocess.run(["tc", "qdisc", "add", "dev", EXIT_DEVICE, "root", "handle", "7:", *foreign], check=True)
    verdict = out.buffer(RATE).probe()
    assert (verdict.tier, verdict.why) == (Tier.OBSERVE, f"{EXIT_DEVICE} has a foreign root qdisc {foreign[0]} 7:")
    out.buffer(RATE).detach()
    shown = subprocess.run(["tc", "qdisc", "show", "dev", EXIT_DEVICE], check=True, capture_output=True, text=True)
    assert shown.stdout.startswith(f"qdisc {foreign[0]} 7: root")
    subprocess.run(["tc", "qdisc", "del", "dev", EXIT_DEVICE, "root"], check=True)
