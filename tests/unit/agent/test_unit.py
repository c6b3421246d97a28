"""The systemd unit and its example: systemd takes them, rights are the three needed, and times fit the code."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from sentinel_agent.node import PATIENCE_NS
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_mesh import priority

SYSTEMD = Path(__file__).parents[3] / "deploy/systemd"
UNIT = SYSTEMD / "sentinel-agent.service"


@pytest.fixture
def service():
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str
    parsed.read_string(UNIT.read_text())
    return parsed["Service"]


def test_it_has_the_three_rights_and_no_other(service):
    for name in ("CapabilityBoundingSet", "AmbientCapabilities"):
        assert set(service[name].split()) == {"CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"}
    assert service["NoNewPrivileges"] == "yes"


def test_the_watchdog_waits_longer_than_a_tick_may_be_late_and_limits_are_what_the_tick_asks_for(service):
    assert int(service["WatchdogSec"]) * 10**9 > 2 * PATIENCE_NS
    assert int(service["LimitNICE"]) == priority.NICE
    assert int(service["LimitRTPRIO"]) == priority.REAL_TIME


def test_a_mistake_in_the_configuration_is_not_tried_again_and_a_crash_is(service):
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("always", "2")


def test_the_example_is_a_configuration():
    assert NodeConfig.parse(yaml.safe_load((SYSTEMD / "agent.yaml").read_text())).ids == {"database": 1, "web": 2}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_to_complain_about(tmp_path):
    """With a program that is there: whether ours is installed is not the unit's fault."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/sentinel/bin/sentinel-agent", shutil.which("true")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
