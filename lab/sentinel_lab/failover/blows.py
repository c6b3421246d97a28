"""What may befall a node, and how it is undone: each is one round of the benchmark."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from sentinel_lab.failover.trial import Trial, under_traffic, with_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sentinel_lab.failover.stage import Stage

GONE_S: Final = 1.0
"""Twice what an order's lease lasts, and twice what a silent mesh is told apart after."""


@dataclass(frozen=True, slots=True)
class Blow:
    """`carried_out` strikes the node under traffic, and leaves it as it was. `harmless`: nothing may be lost."""

    carried_out: Callable[[Stage, str], Trial]
    rounds: int
    harmless: bool = False
    behind_nat: bool = False


def _cut(stage: Stage, node: str) -> Trial:
    found = with_calls(stage, node, partial(stage.cut, node))
    stage.heal(node)
    return found


def _killed(stage: Stage, node: str) -> Trial:
    found = with_calls(stage, node, partial(stage.kill, node))
    stage.revive(node)
    return found


def _returned(stage: Stage, node: str) -> Trial:
    stage.kill(node)
    stage.await_state(node, "dead")
    return under_traffic(stage, partial(stage.revive, node), stage.await_ready)


def _agent_killed(stage: Stage, node: str) -> Trial:
    agent = stage.agents[node]

    def successor() -> None:
        time.sleep(GONE_S)
        agent.start()
        stage.await_ready()

    return under_traffic(stage, agent.kill, successor)


def _agent_stopped(stage: Stage, node: str) -> Trial:
    agent = stage.agents[node]

    def goes_on() -> None:
        time.sleep(GONE_S)
        agent.signal(signal.SIGCONT)
        stage.await_ready()

    return under_traffic(stage, partial(agent.signal, signal.SIGSTOP), goes_on)


BLOWS: Final[Mapping[str, Blow]] = {
    "cut": Blow(_cut, 30),
    "kill": Blow(_killed, 30),
    "return": Blow(_returned, 6, harmless=True),
    "agent-killed": Blow(_agent_killed, 6, harmless=True),
    "agent-stopped": Blow(_agent_stopped, 6, harmless=True),
    "nat": Blow(_cut, 9, behind_nat=True),
}
SWIFT: Final = ("cut", "kill")
"""The node dies, and its packets must be lost for as short as possible."""
