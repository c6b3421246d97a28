"""What befalls an agent and its node, under load: packets go on, nothing foreign is touched, and it is told."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

import pytest

from sentinel_api.errors import Unsupported
from sentinel_bpf import attach
from sentinel_bpf import object as bpf_object
from sentinel_bpf.probe import BPFFS
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE
from support.agent import CONFIG, LEASE_S, PORT, queue_device
from support.faulty import STEPS
from support.load import Load, figure
from support.netns import bottleneck, wait_until

TESTS = str(OBJECT.parents[2] / "tests")
FAULTY = ("-m", "support.faulty")
OTHER = OBJECT.parent / "test/other.bpf.o"

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def node():
    with bottleneck((PORT,)) as made:
        yield made


def limits() -> list[str]:
    """Of our leaves, as the kernel has them."""
    shown = run("tc", "qdisc", "show", "dev", queue_device()).splitlines()
    return [line.split("limit ")[1] for line in shown if line.startswith("qdisc bfifo")]


def killed_under_load(node, agent, step, succeeded=lambda: None):
    """The agent dies by its own hand at this step, and is succeeded once its leases are over; what was lost."""
    process = agent.start(program=(*FAULTY, f"kill:{step}"), wait=False, PYTHONPATH=TESTS)
    with Load(node, PORT) as load:
        assert process.wait(600) == -signal.SIGKILL, agent.said()[-3:]
        sent, before = load.sent, agent.unordered()
        wait_until(lambda: load.sent > sent + 500 * 2 * LEASE_S, "packets are sent beyond the lease")
        succeeded()
        unordered_ms = (agent.unordered() - before) * load.pace_s * 1e3
    lost = load.lost()
    told = {"without_orders_ms": unordered_ms, "longest_silence_s": load.longest_silence_s}
    figure(f"kill -9 at step {step}", sent=load.sent, lost=lost, **told)
    return lost


def test_killed_with_an_order_half_written_it_slows_nothing_down(node, agent):
    assert killed_under_load(node, agent, "order-half-written") == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", [step for step in STEPS if step != "order-half-written"])
def test_killed_at_any_step_of_its_tick_it_slows_nothing_down(node, agent, step):
    assert killed_under_load(node, agent, step, agent.start) == 0
    node.send(PORT, 10)
    wait_until(lambda: agent.counted() > 10, "the successor counts on where it was")


@pytest.mark.slow
def test_frozen_for_five_seconds_and_back(node, agent):
    process = agent.start()
    with Load(node, PORT) as load:
        agent.ticked_on()
        before = agent.unordered()
        process.send_signal(signal.SIGSTOP)
        time.sleep(5)
        process.send_signal(signal.SIGCONT)
        agent.ticked_on()
        unordered_ms = (agent.unordered() - before) * load.pace_s * 1e3
    missed = agent.counted("sentinel_ticks_missed_total", "")
    told = {"without_orders_ms": unordered_ms, "longest_silence_s": load.longest_silence_s}
    figure("SIGSTOP for 5 s", sent=load.sent, lost=load.lost(), ticks_missed=missed, **told)
    assert load.lost() == 0
    assert missed >= 45, "late ticks are dropped and counted, not queued"


@pytest.mark.slow
def test_the_wall_clock_may_jump_about(node, agent):
    agent.start(program=(*FAULTY, "clock"), PYTHONPATH=TESTS)
    with Load(node, PORT) as load:
        agent.ticked_on(40)
        assert agent.counted("sentinel_interface_steered", NODE_DEVICE) == 1
    figure("wall clock jumps by weeks at every tick", sent=load.sent, lost=load.lost(), ticks_failed=agent.failed())
    assert (load.lost(), agent.failed()) == (0, 0)


def test_logs_on_a_full_disk_cost_lines_and_nothing_else(node, agent):
    agent.log = Path("/dev/full")
    agent.start()
    with Load(node, PORT) as load:
        agent.ticked_on()
    lines = agent.counted("sentinel_log_lines_lost_total", "")
    figure("log on a full disk", sent=load.sent, lost=load.lost(), lines_lost=lines, ticks_failed=agent.failed())
    assert lines > 0
    assert load.lost() == 0
    assert (agent.state()["tier"], agent.failed()) == ("B", 0)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["nan", "slow", "missing", "corrupt"])
def test_a_model_that_is_wrong_costs_its_forecasts_and_nothing_else(node, agent, fault):
    path = agent.folder / "model.onnx"
    if fault == "corrupt":
        path.write_bytes(b"no model")
    digest = f"sha256:{hashlib.sha256(b'no model').hexdigest()}"
    config = {**CONFIG, "model": {"ref": str(path), "digest": digest}}
    if fault in ("nan", "slow"):
        agent.start(config, program=(*FAULTY, f"model:{fault}"), PYTHONPATH=TESTS)
    else:
        agent.start(config)
    with Load(node, PORT) as load:
        agent.ticked_on(40)
    told = agent.state()["model"]
    said = (told["trouble"] or told["fault"][0]).replace(f"{path.parent}/", "")
    figure(f"model {fault}", sent=load.sent, lost=load.lost(), ticks_failed=agent.failed(), said=said)
    assert told["trouble"] or told["fault"]
    assert agent.state()["forecast"] == "schedule", "the learners answer"
    assert (load.lost(), agent.failed()) == (0, 0)


@pytest.mark.slow
def test_somebody_elses_limit_is_put_right_and_somebody_elses_queue_is_left_alone_and_told(node, agent):
    process = agent.start()
    agent.ticked_on()
    before = limits()
    process.send_signal(signal.SIGSTOP)  # or it may be put right before we have looked
    run("tc", "qdisc", "change", "dev", queue_device(), "parent", "5f28:1", "handle", "6028:", "bfifo", "limit", "5555")
    assert "5555b" in limits()
    process.send_signal(signal.SIGCONT)
    agent.until(lambda: limits() == before, "our own limit is put right")
    run("tc", "qdisc", "replace", "dev", queue_device(), "root", "handle", "1:", "pfifo")
    agent.until(lambda: "foreign root qdisc pfifo" in agent.state().get("why", ""), "the foreign queue is told")
    with Load(node, PORT) as load:
        agent.ticked_on(20)
    assert load.lost() == 0, "packets pass the foreign queue by"
    assert "pfifo" in run("tc", "qdisc", "show", "dev", queue_device()), "it is not fought"
    assert agent.counted("sentinel_interface_steered", NODE_DEVICE) == 0
    run("tc", "qdisc", "del", "dev", queue_device(), "root")
    agent.until(lambda: agent.state().get("tier") == "B", "our queue is back once the way is free")
    figure("root qdisc replaced, later removed", sent=load.sent, lost=load.lost(), tier_meanwhile="C", tier_after="B")


@pytest.mark.slow
def test_pins_that_vanish_under_it_are_made_anew_and_its_programs_come_back(node, agent):
    agent.start()
    before = attach.occupant(NODE_DEVICE)
    with Load(node, PORT) as load:
        for pin in list((BPFFS / f"sentinel_{agent.name}").rglob("*")):
            if pin.is_file():
                pin.unlink(missing_ok=True)
        back_s = agent.seconds_until(
            lambda: attach.occupant(NODE_DEVICE) not in (before, None), "the link went with its pin, and is back"
        )
        agent.until(lambda: agent.state().get("tier") == "B", "the queue works")
    figure(
        "pins unlinked under it",
        sent=load.sent,
        lost=load.lost(),
        back_after_s=back_s,
        longest_silence_s=load.longest_silence_s,
    )
    assert any((BPFFS / f"sentinel_{agent.name}").rglob("link_*")), "and pinned for a successor"


def taken_by_force(agent, program, pin) -> bool:
    """The kernel lets go of a link some time after its last pin, and the agent may be back before we are there."""
    for ours in list((BPFFS / f"sentinel_{agent.name}").rglob("link_xdp*")):
        ours.unlink(missing_ok=True)
    try:
        attach.attach(program, NODE_DEVICE, attach.Hook.XDP, pin)
    except Unsupported:
        return False
    return True


@pytest.mark.slow
def test_a_foreign_program_that_comes_later_is_refused_and_one_that_takes_the_place_by_force_stays(node, agent):
    agent.start()
    pin = BPFFS / f"foreign_{os.getpid()}" / "link"
    with bpf_object.load(OTHER) as loaded, Load(node, PORT) as load:
        program = next(iter(loaded.programs.values()))
        with pytest.raises(Unsupported, match="already has"):
            attach.attach(program, NODE_DEVICE, attach.Hook.XDP, pin)
        agent.ticked_on()
        agent.until(lambda: taken_by_force(agent, program, pin), "the place is taken")
        foreign = attach.occupant(NODE_DEVICE)
        try:
            told_s = agent.seconds_until(lambda: agent.state().get("tier") == "C", "it only observes now")
            assert attach.occupant(NODE_DEVICE) == foreign
        finally:
            attach.detach(pin)
        back_s = agent.seconds_until(lambda: agent.state().get("tier") == "B", "the place is free again, and taken")
    figure(
        "foreign XDP takes our place by force, leaves",
        sent=load.sent,
        lost=load.lost(),
        told_after_s=told_s,
        back_after_s=back_s,
    )
    assert load.lost() == 0
