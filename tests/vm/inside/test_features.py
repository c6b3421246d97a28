"""kernels.toml keeps its word: what it promises of a kernel is there, so no test can skip for want of it."""

import subprocess

import pytest

from sentinel_bpf import probe

FLAGS = ("bpf_links", "btf", "jit", "qdisc_bpf", "tcx", "xdp")
QDISCS = ("htb", "fq", "fq_codel", "cake", "pie", "netem")


@pytest.mark.parametrize("flag", FLAGS)
def test_the_probe_and_the_list_agree(promised, flag):
    assert getattr(probe.probe(), flag) == (flag in promised)


def test_the_probe_finds_the_traffic_control_that_is_promised(promised):
    assert probe.probe().traffic_control <= promised


@pytest.fixture
def device():
    subprocess.run(["ip", "link", "add", "sn-q", "type", "veth", "peer", "name", "sn-p"], check=True)
    yield "sn-q"
    subprocess.run(["ip", "link", "del", "sn-q"], check=True)


@pytest.mark.parametrize("qdisc", QDISCS)
def test_a_promised_discipline_can_be_put_on_a_device(promised, device, qdisc):
    assert qdisc in promised
    subprocess.run(["tc", "qdisc", "add", "dev", device, "root", qdisc], check=True)
    shown = subprocess.run(["tc", "qdisc", "show", "dev", device], check=True, capture_output=True, text=True).stdout
    assert shown.startswith(f"qdisc {qdisc} ")
