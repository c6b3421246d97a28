"""A namespace says who made it, so that what a crash left can be told from what is in use."""

import os

import pytest

from sentinel_api.errors import Unsupported
from sentinel_lab.namespaces import PATTERN, Namespace, run


def test_a_name_leads_back_to_its_maker():
    match = PATTERN.match(Namespace("node", os.getpid()).name)
    assert match
    assert int(match["pid"]) == os.getpid()
    assert match["role"] == "node"


@pytest.mark.parametrize("name", ["sn-a1", "cni-1234-node", "sn-12-", "node", "sn-x12-node"])
def test_other_peoples_names_are_not_taken_for_ours(name):
    assert PATTERN.match(name) is None


@pytest.mark.parametrize(("command", "package"), [("sysctl", "procps"), ("ip", "iproute2"), ("nft", "nftables")])
def test_a_missing_command_names_the_package_that_brings_it(monkeypatch, tmp_path, command, package):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match=f"^{command} is not installed; install {package}$"):
        run(command)
