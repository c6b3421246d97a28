"""What the BPF queue does to packets: by class and share, kept while limits move, bounded whatever the maps say."""

from __future__ import annotations

import time
import tomllib

import numpy as np

from sentinel_bpf import object as bpf_object
from sentinel_bpf.buffer import discipline
from sentinel_bpf.buffer.port import CLASSES, QueueClass, sojourn_quantile_us
from sentinel_bpf.buffer.qdisc import QUANTUM_BYTES
from support import tier_a_node
from support.netns import PATIENCE_S, wait_until
from support.tier_a import HOUR_NS, QDISC_OBJECT, give_lease
from support.tier_a_node import FRAME, RATE, ROOM, SLOW, A, B, pace, wait_empty

node, out, queue = tier_a_node.node, tier_a_node.out, tier_a_node.queue  # fixtures

BURST_S = 0.01  # what pacing may catch up on after a late timer, and more than it
GONE = 9
BUDGETS = tomllib.loads((QDISC_OBJECT.parents[1] / "budgets.toml").read_text())["qdisc"]


def test_a_packet_waits_in_its_class_and_an_unknown_one_in_class_0(out, queue):
    for class_id, count in ((A, 20), (B, 30), (GONE, 5)):
        out.send(class_id, count)
    wait_empty(queue)
    sent = {each: reading.sent_packets for each, reading in queue.read().items()}
    assert sent.keys() == {0, A, B}
    assert (sent[A], sent[B]) == (20, 30)
    assert sent[0] >= 5  # or one more: what IPv6 had to say before it was switched off leaves when the guest finds time
    wait_until(lambda: out.received_in_all() == 55, "55 packets")


def test_arrivals_beyond_the_limit_are_dropped_and_counted(out, queue):
    queue.resize({A: 10 * FRAME})
    pace(queue, SLOW)
    out.send(A, 100)
    pace(queue, RATE)
    wait_empty(queue)
    found = queue.read()[A]
    assert found.drops > 0
    assert found.sent_packets + found.drops == 100
    wait_until(lambda: out.received(A) == found.sent_packets, "what was sent")


def test_growing_and_shrinking_under_load_lose_nothing_that_stands_in_the_queue(out, queue, record_property):
    pace(queue, SLOW)
    for limit in (200_000, 400_000, 100_000, 1):
        out.send(A, 60)
        queue.resize({A: limit})
    standing = queue.read()[A]
    pace(queue, RATE)
    assert standing.backlog_packets > 10
    assert standing.limit_bytes == 1
    wait_empty(queue)
    found = queue.read()[A]
    deadline = time.monotonic() + PATIENCE_S
    while out.received(A) < found.sent_packets and time.monotonic() < deadline:
        time.sleep(0.005)
    lost = 240 - standing.drops - out.received(A)
    record_property("tier_a_lost", lost)
    assert found.drops == standing.drops, "a packet that already stood in the queue was dropped"
    assert found.sent_packets == 240 - standing.drops
    assert lost == 0, "what stood in the queue did not come out"


def test_a_shrunk_class_refuses_arrivals_until_there_is_room_again(out, queue):
    pace(queue, SLOW)
    out.send(A, 50)
    queue.resize({A: 1})
    out.send(A, 7)
    assert queue.read()[A].drops == 7
    pace(queue, RATE)
    queue.resize({A: ROOM})
    out.send(A, 3)
    wait_until(lambda: out.received(A) == 53, "53 packets")


def test_past_the_lease_the_static_limit_holds(out, queue):
    queue.configure([QueueClass(each, RATE // 4, RATE, 10 * FRAME) for each in (0, A, B)])
    queue.resize({A: ROOM, B: ROOM})
    out.agent.map("sn_order").put(A, valid_until_ns=time.monotonic_ns())
    pace(queue, SLOW)
    for class_id in (A, B):
        out.send(class_id, 60)
    found = queue.read()
    pace(queue, RATE)
    assert (found[A].limit_bytes, found[B].limit_bytes) == (10 * FRAME, ROOM)
    assert found[A].backlog_bytes <= 11 * FRAME
    assert found[A].drops > 0
    assert found[B].drops == 0
    wait_empty(queue)
    wait_until(lambda: out.received_in_all() == 120 - found[A].drops, "all that stood in the queue")


def test_sojourn_counts_each_packet_and_grows_with_the_queue(out, queue):
    before = {each: reading.sojourn for each, reading in queue.read().items()}
    out.send(A, 100)
    standing = queue.read()[A].backlog_bytes
    wait_empty(queue)
    after = queue.read()
    waited = [now - then for now, then in zip(after[A].sojourn, before[A], strict=True)]
    assert sum(waited) == 100
    # The last packet waits for the ones before it, as long as the rate makes that take.
    assert sojourn_quantile_us(waited, 1.0) > 0.8 * 10**6 * standing / RATE
    assert after[B].sojourn == before[B]


def test_ten_times_too_much_is_held_to_limit_and_rate(out):
    rate = RATE // 10  # even a guest that is starved sends ten times as fast
    buffer = out.buffer(rate)
    buffer.configure([QueueClass(0, 1, rate, ROOM), QueueClass(A, rate // 2, rate, 50 * FRAME)])
    began, sent, deepest = time.monotonic(), 0, 0
    while sent < 10 * rate // FRAME:
        out.send(A, 20)
        sent += 20
        deepest = max(deepest, buffer.read()[A].backlog_bytes)
    gone = buffer.read()[A].sent_bytes
    assert gone <= rate * (time.monotonic() - began + BURST_S) + FRAME
    assert 40 * FRAME < deepest <= 51 * FRAME
    wait_empty(buffer)
    found = buffer.read()[A]
    assert found.sent_packets + found.drops == sent
    assert found.drops > 0
    wait_until(lambda: out.received(A) == found.sent_packets, "what was sent")
    buffer.detach()


def test_all_classes_share_a_busy_link_by_their_guarantees(out):
    weights = {each: 1 + each % 4 for each in range(CLASSES)}
    slow = RATE // 4
    unit = slow // sum(weights.values())
    buffer = out.buffer(slow)
    buffer.configure([QueueClass(each, unit * weight, slow, ROOM) for each, weight in weights.items()])
    pace(buffer, SLOW)  # until all is there
    for _ in range(10):
        for each in weights:
            out.send(each, 5)
    pace(buffer, slow)
    begin = {each: reading.sent_bytes for each, reading in buffer.read().items()}
    wait_until(
        lambda: sum(each.sent_bytes for each in buffer.read().values()) - sum(begin.values()) > 200_000, "200 kB"
    )
    found = buffer.read()
    assert all(each.backlog_packets for each in found.values()), "a class ran dry, so nothing is proven"
    gone = {each: found[each].sent_bytes - begin[each] for each in weights}
    share = sum(gone.values()) / sum(weights.values())
    # Within a turn and a frame, which is all that a deficit can carry over.
    assert all(abs(gone[each] - share * weight) <= 2 * QUANTUM_BYTES + FRAME for each, weight in weights.items()), gone
    buffer.detach()
    wait_until(lambda: out.received_in_all() == 50 * CLASSES, "every packet")


def test_a_ceiling_holds_one_class_back_and_no_other(out):
    buffer = out.buffer(RATE)
    held = RATE // 50  # 60 packets stand for six seconds: a starved guest still finds some
    buffer.configure([QueueClass(0, 1, RATE, ROOM), QueueClass(A, 1, held, ROOM), QueueClass(B, 1, RATE, ROOM)])
    began = time.monotonic()
    out.send(A, 60)
    out.send(B, 60)
    wait_until(lambda: buffer.read()[B].backlog_packets == 0, "an empty class B")
    slow = buffer.read()[A]
    assert slow.sent_bytes <= held * (time.monotonic() - began + BURST_S) + FRAME
    assert slow.backlog_packets > 0
    buffer.configure([QueueClass(each, 1, RATE, ROOM) for each in (0, A, B)])
    wait_empty(buffer)
    wait_until(lambda: out.received_in_all() == 120, "every packet")
    buffer.detach()


def test_the_pool_bounds_all_classes_together(out):
    buffer = out.buffer(RATE, pool_bytes=40 * FRAME)
    buffer.configure([QueueClass(each, 1, RATE, ROOM) for each in (0, A, B)])
    pace(buffer, SLOW)
    for _ in range(10):
        out.send(A, 8)
        out.send(B, 8)
        assert sum(each.backlog_bytes for each in buffer.read().values()) <= 41 * FRAME
    assert sum(each.drops for each in buffer.read().values()) > 0
    pace(buffer, RATE)
    wait_empty(buffer)
    buffer.detach()


def test_wrong_map_content_bends_no_queue_for_good(out, queue):
    dice = np.random.default_rng(7)
    kept = discipline.open_discipline(QDISC_OBJECT, discipline.folder())
    wrong = [kept.map(name).view(writable=True) for name in ("sn_shares", "sn_drains")]
    wrong.append(out.agent.map("sn_order").view(writable=True))
    right = [each.copy() for each in wrong]
    for _ in range(60):
        for each in wrong:
            words = each.view(np.uint64)
            anything = dice.integers(0, 1 << 64, words.shape, np.uint64, endpoint=False)
            words[...] = np.choose(dice.integers(0, 4, words.shape), [0, 1, (1 << 64) - 1, anything])
        for class_id in range(CLASSES):
            out.send(class_id, 2)
    for each, content in zip(wrong, right, strict=True):
        each[...] = content
    give_lease(out.agent, HOUR_NS)
    told = out.agent.map("sn_backlog").view()
    wait_until(lambda: not told["backlog_packets"].any(), "empty lines, also of classes that wrong words had opened")
    assert told["drops"].sum() > 0
    sent, drops = int(told["sent_packets"].sum()), int(told["drops"].sum())
    strangers = sent + drops - 60 * 2 * CLASSES
    assert 0 <= strangers <= 2, "a slow guest's kernel may take its leave of IPv6 now, and nobody else speaks"
    wait_until(lambda: out.received_in_all() >= sent - strangers, "all that was sent")
    assert out.received_in_all() <= sent


def test_each_program_keeps_its_budget(node):
    with bpf_object.load(QDISC_OBJECT) as loaded:
        spent = {name: program.verified_instructions() for name, program in loaded.programs.items()}
    assert spent.keys() == BUDGETS.keys()
    assert all(spent[name] <= budget <= 2 * max(500, spent[name]) for name, budget in BUDGETS.items()), spent
