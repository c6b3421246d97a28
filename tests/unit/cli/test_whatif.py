"""What would have happened: read from what an agent tells, and honest where it tells nothing."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from sentinel_api.errors import Invalid, Transient
from sentinel_cli.cluster.commands import report
from sentinel_cli.top.whatif import lines, parsed, told

HEAD = """\
# TYPE sentinel_shadow_seconds counter
sentinel_shadow_seconds_total 600.0
# TYPE sentinel_buffer_resizes counter
sentinel_buffer_resizes_total 12.0
# TYPE sentinel_forecast_trusted gauge
sentinel_forecast_trusted{interface="eth0"} 1.0
# TYPE sentinel_forecast_judged gauge
sentinel_forecast_judged{interface="eth0",outcome="hits"} 7.0
sentinel_forecast_judged{interface="eth0",outcome="misses"} 2.0
sentinel_forecast_judged{interface="eth0",outcome="false_alarms"} 1.0
"""
CLASSES = """\
# TYPE sentinel_shadow_arrived_bytes counter
sentinel_shadow_arrived_bytes_total{interface="eth0",class="db"} 1048576.0
# TYPE sentinel_shadow_dropped_bytes counter
sentinel_shadow_dropped_bytes_total{interface="eth0",class="db",rule="ordered"} %d
sentinel_shadow_dropped_bytes_total{interface="eth0",class="db",rule="reactive"} 4096.0
sentinel_shadow_dropped_bytes_total{interface="eth0",class="db",rule="static"} 8192.0
# TYPE sentinel_shadow_peak_bytes gauge
sentinel_shadow_peak_bytes{interface="eth0",class="db",rule="ordered"} 2048.0
"""


def said(text: str) -> str:
    return "\n".join(lines(parsed("node1", text)))


def test_it_says_what_was_observed_foreseen_and_avoided():
    text = said(HEAD + CLASSES % 1024)
    assert "only observed for 10 min; limits would have moved 12 times" in text
    assert "Of 9 bursts it foresaw 7, with 1 false alarms; forecasts would be acted on" in text
    assert "db on eth0: 1.0 MiB arrived" in text
    assert "avoided 7.0 KiB of drops against fixed floors" in text


def test_orders_that_would_have_cost_are_said_to_cost():
    assert "would have cost 1.0 KiB more drops" in said(HEAD + CLASSES % 9216)


def test_orders_without_effect_are_said_to_have_none():
    assert "changed nothing about drops" in said(HEAD + CLASSES % 8192)


def test_a_program_gets_the_same():
    found = told(parsed("node1", HEAD + CLASSES % 1024))["classes"]["db on eth0"]
    assert found["avoided_bytes"] == 7168
    assert found["dropped_bytes"] == {"ordered": 1024.0, "reactive": 4096.0, "static": 8192.0}


def test_an_agent_that_enforces_says_that_nothing_was_imagined():
    assert "imagines nothing: it enforces, or its interfaces have no rate" in said(HEAD)


def test_an_older_agent_is_told_as_such():
    assert "it is no agent, or an older one" in said("# TYPE sentinel_ticks counter\nsentinel_ticks_total 3.0\n")


def test_where_nobody_answers_there_is_a_sentence_and_a_failure():
    asked = CliRunner().invoke(report, ["--what-if", "--json", "127.0.0.1:1"])
    assert isinstance(asked.exception, Transient)
    assert "nobody listens there" in json.loads(asked.output)["nodes"][0]["error"]


def test_hosts_without_what_if_are_refused():
    with pytest.raises(Invalid, match="go with --what-if"):
        CliRunner().invoke(report, ["node1"], catch_exceptions=False, standalone_mode=False)
