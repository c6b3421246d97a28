"""The probe agrees with what this kernel really does."""

import os
import subprocess

import pytest

from sentinel_bpf import attach, layout, probe


def test_it_asks_only_once():
    assert probe.probe() is probe.probe()


def test_what_it_says_of_links_and_tcx_is_what_attaching_does(load, veth, bpffs):
    features, bank = probe.probe(), load("test/bank").object
    assert features.libbpf
    assert features.xdp
    assert features.bpf_links
    assert attach.attach(bank.program("count"), veth[1], attach.Hook.XDP, bpffs / "xdp").mode is attach.Mode.NATIVE
    if not features.tcx:
        pytest.skip(f"kernel {features.kernel} has no tcx")
    attach.attach(bank.program("tag"), veth[1], attach.Hook.TCX_EGRESS, bpffs / "tcx")


@pytest.mark.parametrize("kind", ["htb", "tbf", "fq", "fq_codel", "cake", "pie", "netem"])
def test_what_it_says_of_a_qdisc_is_what_the_kernel_does(veth, kind):
    command = ["tc", "qdisc", "add", "dev", veth[0], "root", kind]
    if kind == "netem":
        command += ["delay", "1ms"]
    if kind == "tbf":
        command += ["rate", "1mbit", "burst", "9k", "limit", "9k"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode == 0) == (kind in probe.probe().traffic_control)


def test_what_it_says_of_devices_is_what_the_kernel_does(namespace):
    done = subprocess.run(["ip", "link", "add", "sn-ifb", "type", "ifb"], capture_output=True, check=False)
    assert (done.returncode == 0) == ("ifb" in probe.probe().traffic_control)


def test_bpffs_is_found_where_it_is_mounted_and_nowhere_else(bpffs, tmp_path):
    assert probe.is_bpffs(bpffs)
    assert not probe.is_bpffs(tmp_path)
    assert not probe.is_bpffs(bpffs / "below")


def test_the_rights_of_root_are_seen():
    assert os.geteuid() != 0 or {"BPF", "NET_ADMIN", "PERFMON"} <= probe.probe().capabilities


def test_type_information_is_there_when_it_says_so():
    assert probe.probe().btf == layout.KERNEL.exists()
