"""The benchmark's loop shows the data plane what it says it does; the reader without BPF counts the same packets."""

import json
import subprocess
from contextlib import suppress

import numpy as np
import pytest
from click.testing import CliRunner, Result

from sentinel_api.errors import Transient
from sentinel_bpf import maps
from sentinel_bpf.flows import FlowSums
from sentinel_lab.bench import bpf, bpf_frames, bpf_loop, bpf_out, bpf_user, bpf_yardsticks
from sentinel_lab.bench.bpf_loop import Timing

FRAMES = [
    pytest.param(each, id=each.name)
    for each in (bpf_frames.PLAIN4, bpf_frames.PLAIN6, bpf_frames.STAMPED4, bpf_frames.DATAGRAM4)
]
ATTEMPTS = 3
FIXED = {"ns_drop", "ns_all_1", "ns_all_4k", "ns_all_64k", "ns_scattered_4k", "ns_scattered_64k", "userspace_ratio"}


@pytest.fixture(scope="module", autouse=True)
def user_built(built):
    subprocess.run(["make", "-s", "-C", str(built.parent), "bench"], check=True)


@pytest.mark.parametrize("frame", FRAMES)
def test_every_flow_is_sent_equally_often_and_passes(frame):
    flows = 1024
    with bpf_loop.loop_over(frame) as (loop, _), bpf_loop.targets([bpf_loop.ALL]) as (product,):
        batches = loop.batches(product, flows)
        bpf_loop.require_clean(product, bpf_loop.MEASURED)
        _, entries = product.agent.map("sn_flows").dump()
        cells = product.agent.map("sn_cells").view()
        assert len(entries) == flows
        assert np.ptp(entries["packets"]) <= 1
        assert int(cells["packets"].sum()) == bpf_loop.SETTLING + bpf_loop.MEASURED + 1
        assert int(cells["packets"].reshape(maps.cpus(), -1)[:, 0].sum()) == 0  # the rules were asked
        assert len(batches) == bpf_loop.MEASURED // 256
        assert (batches > 0).all()


@pytest.mark.parametrize("scattered", [False, True])
def test_flows_that_have_grown_tell_their_sources_each_at_another_time(scattered):
    flows = 1024
    with (
        bpf_loop.loop_over(bpf_frames.PLAIN4) as (loop, _),
        bpf_loop.targets([bpf_loop.ALL]) as (product,),
    ):
        loop.grow(product, flows, scattered=scattered)
        _, entries = product.agent.map("sn_flows").dump()
        assert len(entries) == flows
        assert entries["packets"].min() > 4
        assert len(set((entries["packets"] % 32).tolist())) > 12
        before = entries["packets"].sum()
        loop.batches(product, flows)
        bpf_loop.require_clean(product, bpf_loop.MEASURED)
        after = product.agent.map("sn_flows").dump()[1]["packets"].sum()
    assert after - before == bpf_loop.SETTLING + bpf_loop.MEASURED + 1, "nothing is drawn any more"


@pytest.mark.parametrize("case", bpf_out.CASES, ids=lambda each: each.metric)
def test_what_goes_out_and_what_is_new_takes_the_way_that_is_named(case):
    sent = bpf_loop.SETTLING + bpf_loop.MEASURED + 1
    with bpf_out.prepared(case) as (loop, _, target):
        loop.batches(target, case.flows)
        bpf_loop.require_clean(target, sent)
        asked = target.agent.map("sn_out_classes").dump()[1]
        entered = FlowSums(target.agent).entered()
    if case.program == "sn_ingress":
        assert entered == sent, "each packet is of another flow"
    else:
        assert entered == (case.flows if case.known else 0)
        assert (len(asked) > 0) == (case.rules > 0 and not case.known)
    assert set(asked["class_id"].tolist()) <= {0}, "no rule is true of them"


def test_one_stage_more_is_on_with_each_name():
    with (
        bpf_loop.targets(["parse, count", "flows, rules"]) as found,
        bpf_loop.loop_over(bpf_frames.PLAIN4) as (loop, _),
    ):
        for each in found:
            loop.batches(each, 64)
        flows = [len(each.agent.map("sn_flows").dump()[1]) for each in found]
    assert flows == [0, 64]


def test_packets_that_take_another_way_spoil_the_figures():
    with bpf_loop.loop_over(bpf_frames.PLAIN4) as (loop, _), bpf_loop.targets([bpf_loop.ALL]) as (product,):
        for each in range(16):
            product.agent.map("sn_order").put(each, valid_until_ns=1)
        loop.batches(product, 64)
        with pytest.raises(Transient, match="another way"):
            bpf_loop.require_clean(product, bpf_loop.MEASURED)


def test_figures_that_contradict_each_other_are_refused():
    timings = {bpf_loop.HARNESS: Timing(30, 31, 30), bpf_loop.DROP: Timing(1, 2, 1), bpf_loop.ALL: Timing(0, 2, 0)}
    with pytest.raises(Transient, match="contradict"):
        bpf.loop_metrics(4096, timings)


def test_one_load_that_was_disturbed_throughout_moves_no_figure():
    calm, disturbed = Timing(100, 200, 95), Timing(300, 900, 280)
    found = bpf_loop.middle([{"all": each} for each in (calm, disturbed, calm)])
    assert found == {"all": Timing(100, 200, 95, least=100, most=300)}


def at_last() -> Result:
    """A busy machine spoils a figure now and then, which is refused with the advice to try again."""
    for _ in range(ATTEMPTS - 1):
        with suppress(Transient):
            return CliRunner().invoke(bpf.bpf, ["--quick", "--json"], catch_exceptions=False)
    return CliRunner().invoke(bpf.bpf, ["--quick", "--json"], catch_exceptions=False)


def test_the_object_has_the_agreed_names_and_all_else_goes_to_stderr(monkeypatch):
    monkeypatch.setattr(bpf, "QUICK_ROUNDS", 1)
    monkeypatch.setattr(bpf_loop, "GROWN", 1)
    monkeypatch.setattr(bpf, "QUICK_PACKETS", 500)
    monkeypatch.setattr(bpf, "PACED_ROUNDS", 1)
    ran = at_last()
    told = json.loads(ran.stdout)
    assert ran.exit_code == 0
    assert told["bench"] == "bpf"
    assert told.keys() == {"bench", "machine", "metrics", "rows"}
    assert told["metrics"].keys() >= FIXED | {each.metric for each in bpf_out.CASES}
    assert all(told["metrics"][name] > 0 for name in FIXED)
    assert {row["side"] for row in told["rows"] if "side" in row} == set(bpf_user.SIDES)
    assert {row["program"] for row in told["rows"] if "program" in row} >= {
        bpf_yardsticks.OURS,
        bpf_yardsticks.OUR_DROP,
    }
    assert "flood" in ran.stderr


def test_a_wrong_option_ends_with_2():
    assert CliRunner().invoke(bpf.bpf, ["--slowly"]).exit_code == 2
