"""Where pins lie: one folder an object and ABI version, and names that a bpffs accepts."""

from pathlib import Path

import pytest

from sentinel_bpf import pins

ROOT = Path("/run/sentinel/bpf")


def test_another_version_has_another_folder():
    assert pins.folder(ROOT, "agent", 1) != pins.folder(ROOT, "agent", 2)


@pytest.mark.parametrize("interface", ["eth0", "eth0.100", "bond0.4094", "a.b.c"])
def test_no_pin_has_a_dot_in_its_name(interface):
    assert "." not in pins.link_path(ROOT, "xdp", interface).name


def test_two_interfaces_never_share_a_pin():
    names = ["eth0.1", "eth0_1", "eth01", "eth0%2e1"]
    assert len({pins.link_path(ROOT, "xdp", name) for name in names}) == len(names)
