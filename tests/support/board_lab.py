"""What boards are watched on: a lab with something for every panel. Two agents serve behind a balancer, a third only
observes; of the balancer's backends one is not there, and one address is served by that one alone."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import yaml

from support.lb_lab import QUIET, VIP4, address, balancer_config, still, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.lb_lab import Lab

AGENTS: Final = tuple(QUIET)
OBSERVER, BALANCER = "node3", "lb1"
JOBS: Final = {
    "agent": [f"{address(node)}:9465" for node in (*AGENTS, OBSERVER)],
    "balancer": [f"{address(BALANCER)}:9467"],
}
ABSENT: Final = {"name": "absent", "address": "10.78.0.99"}
NOBODYS_PORT: Final = 9
SLOW_BITS: Final = 100_000_000
STRAY: Final = b"x" * 1400


@contextmanager
def board_lab(folder: Path) -> Iterator[Lab]:
    """Everything runs, and the balancer knows who is there."""
    with still(folder, rates={OBSERVER: SLOW_BITS}) as built:
        _only_observe(built)
        for each in built.agents.values():
            each.start()
        _lack(built)
        built.balancers[BALANCER].start()
        there = {**dict.fromkeys(AGENTS, "ready"), ABSENT["name"]: "dead"}
        wait_until(lambda: built.states() == there, "two backends of three are ready")
        yield built


def _only_observe(built: Lab) -> None:
    config = yaml.safe_load(built.agents[OBSERVER].config.read_text())
    config["dataPlane"]["mode"] = "Observe"
    built.agents[OBSERVER].config.write_text(yaml.safe_dump(config))


def _lack(built: Lab) -> None:
    whole = balancer_config()
    for vip in whole["vips"]:
        vip["backends"] = list(AGENTS)
    unserved = {"address": VIP4, "port": NOBODYS_PORT, "protocol": "UDP", "backends": [ABSENT["name"]]}
    built.configure(backends=[*whole["backends"], ABSENT], vips=[*whole["vips"], unserved])


@contextmanager
def strays(built: Lab) -> Iterator[socket.socket]:
    """What sends to those who have no answer, from the client's place."""
    with built.spaces["client"].entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with made:
        yield made


def astray(through: socket.socket, datagrams: int = 20) -> None:
    """One to the address that nobody serves, the others to the node that only observes."""
    through.sendto(b"x", (VIP4, NOBODYS_PORT))
    for _ in range(datagrams):
        through.sendto(STRAY, (address(OBSERVER), NOBODYS_PORT))
