"""A real agent that only observes imagines the queue it would have had; what the report says of it adds up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sentinel_cli.cluster.commands import report
from sentinel_cli.top import ask
from support.agent import CONFIG, PORT, Agent
from support.netns import bottleneck

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW_BITS = 1_000_000
PACKETS = 4000
"""Half a minute's worth at that rate: more than leaves while they come, however late a tick is."""


@pytest.fixture
def agent(tmp_path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.end_all()
    made.detach()


def asked(*words: str) -> str:
    said = CliRunner().invoke(report, ["--what-if", *words])
    assert said.exception is None, said.output
    return said.output


def seen(node, agent) -> bool:
    """A cable holds a few hundred packets: what a busy machine does not take off it in time is lost, and sent again."""
    if agent.counted() >= PACKETS / 2:
        return True
    node.send(PORT, 100)
    return False


def test_an_observing_agent_tells_what_it_would_have_done(agent, monkeypatch):
    monkeypatch.setattr(ask, "PATIENCE_S", 60.0)  # a person asks again, a test of what is told waits
    slow = CONFIG["dataPlane"]["interfaces"][0] | {"rateBitsPerSecond": SLOW_BITS}
    with bottleneck((PORT,)) as node:
        agent.start(CONFIG | {"dataPlane": {"interfaces": [slow], "mode": "Observe"}})
        node.send(PORT, PACKETS)
        agent.until(lambda: seen(node, agent), "ticks have seen most of them")
        [told] = json.loads(asked("--json"))["nodes"]
        [bulk] = [each for name, each in told["classes"].items() if name.startswith("bulk on ")]
        assert bulk["arrived_bytes"] >= PACKETS / 2 * 1000
        assert bulk["peak_bytes"]["ordered"] > 0, "more came than leaves, so something would have waited"
        assert bulk["dropped_bytes"]["static"] >= bulk["dropped_bytes"]["ordered"]
        assert "avoided_bytes" in bulk
        words = asked()
        assert "only observed for" in words
        assert "Estimated: waiting and drops" in words
