"""Which tier a set of features allows, and the sentence for each thing that is missing."""

from dataclasses import replace
from pathlib import Path

import pytest

from sentinel_bpf import probe
from sentinel_bpf.probe import Choice, Features, tier

COMPLETE = Features(
    kernel="6.18.1",
    version=(6, 18),
    architecture="x86_64",
    libbpf="1.1",
    btf=True,
    jit=True,
    xdp=True,
    bpf_links=True,
    tcx=True,
    qdisc_bpf=True,
    traffic_control=frozenset({"htb", "tbf", "clsact", "cls_bpf", "mirred", "ifb"}),
    capabilities=frozenset({"BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN"}),
    bpffs=True,
    memlock_bytes=8 << 20,
)
POD = frozenset({"BPF", "NET_ADMIN", "PERFMON"})


def test_nothing_is_missing_where_everything_is_there():
    assert COMPLETE.missing() == ()
    assert tier(COMPLETE).tier == "A"


@pytest.mark.parametrize(
    ("change", "expected", "why"),
    [
        pytest.param({"qdisc_bpf": False}, "B", "CONFIG_NET_SCH_BPF", id="no BPF queue in the kernel"),
        pytest.param({"capabilities": POD}, "A", "queueing disciplines", id="the rights of a pod are enough"),
        pytest.param({"capabilities": frozenset({"BPF"})}, "C", "CAP_NET_ADMIN, CAP_PERFMON missing", id="few rights"),
        pytest.param({"xdp": False}, "C", "cannot be loaded", id="no XDP"),
        pytest.param({"bpf_links": False}, "C", "cannot be loaded and linked", id="no links"),
        pytest.param({"bpffs": False}, "A", "queueing disciplines", id="a bpffs can be mounted by root"),
        pytest.param({"bpffs": False, "capabilities": POD}, "C", "No bpffs", id="but not from a pod"),
        pytest.param({"traffic_control": frozenset()}, "A", "queueing", id="tier A needs no HTB"),
        pytest.param({"tcx": False}, "A", "queueing", id="tcx has a substitute"),
    ],
)
def test_the_tier_and_its_reason(change, expected, why):
    chosen = tier(replace(COMPLETE, **change))
    assert chosen.tier == expected
    assert why in chosen.reason


def test_tier_b_without_its_parts_only_observes():
    lacking = replace(COMPLETE, qdisc_bpf=False, traffic_control=COMPLETE.traffic_control - {"ifb"})
    assert tier(lacking) == Choice("C", "The kernel lacks ifb.")


def test_a_queue_that_was_not_built_is_not_promised():
    chosen = tier(COMPLETE, qdisc_built=False)
    assert chosen.tier == "B"
    assert "qdisc.bpf.o was not built" in chosen.reason


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"libbpf": ""}, "libbpf.so.1 is missing"),
        ({"btf": False}, "CONFIG_DEBUG_INFO_BTF"),
        ({"capabilities": frozenset()}, "lacks CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON; run as root"),
        ({"xdp": False}, "loads no XDP program"),
        ({"jit": False}, "net.core.bpf_jit_enable=1"),
        ({"bpf_links": False}, "5.9 or newer"),
        ({"tcx": False}, "cls_bpf is used instead"),
        ({"traffic_control": frozenset({"htb"})}, "lacks tbf, clsact, cls_bpf, mirred, ifb"),
        ({"bpffs": False, "capabilities": POD}, "mount -t bpf bpf /run/sentinel/bpf"),
        ({"version": (5, 10)}, "ulimit -l unlimited"),
    ],
)
def test_each_missing_thing_has_one_sentence(change, sentence):
    told = replace(COMPLETE, **change).missing()
    assert len(told) == 1
    assert sentence in told[0]
    assert told[0].endswith(".")


def test_no_rights_are_not_mistaken_for_a_kernel_without_xdp():
    told = replace(COMPLETE, capabilities=frozenset(), xdp=False).missing()
    assert len(told) == 1
    assert "CAP_BPF" in told[0]


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.18.44-fc", (6, 18)), ("5.4", (5, 4)), ("6.1.0-32-amd64", (6, 1)), ("6.12-rc3", (6, 12)), ("6.8+", (6, 8))],
)
def test_versions_are_read_from_any_release_name(release, version):
    assert probe._version(release) == version


def test_capabilities_are_read_from_the_effective_set():
    status = "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t000000c000001000\n"
    assert probe._capabilities(status) == {"BPF", "PERFMON", "NET_ADMIN"}


MOUNTS = """\
22 1 0:21 / /sys rw - sysfs sysfs rw
40 22 0:30 / /sys/fs/bpf rw shared:9 - bpf bpf rw,mode=700
41 1 0:31 / /run/sentinel/bpf rw - tmpfs none rw
42 41 0:32 / /run/sentinel/bpf rw - bpf none rw
43 40 0:33 / /sys/fs/bpf rw - tmpfs none rw
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        pytest.param("/run/sentinel/bpf", True, id="the upper mount counts"),
        pytest.param("/sys/fs/bpf", False, id="a bpffs covered by another mount does not"),
        pytest.param("/sys", False, id="another file system"),
        pytest.param("/run/sentinel", False, id="no mount at all"),
    ],
)
def test_a_bpffs_is_told_by_the_mount_on_top(path, found):
    assert probe._mounted(MOUNTS, Path(path)) is found
