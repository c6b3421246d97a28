"""The product's own processes in namespaces, and what may befall a node: it dies, is cut off, its agent is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError

import yaml

from sentinel_api.errors import Transient
from sentinel_lab.dataplane import remove_pins_of_the_dead
from sentinel_lab.failover import plan
from sentinel_lab.namespaces import run
from sentinel_lab.topology import RECEIVER, built

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sentinel_lab.namespaces import Namespace

PATIENCE_S: Final = 180.0
LOOK_S: Final = 0.02
STATE: Final = "http://127.0.0.1:9468/debug/state"
FORWARDING, DISABLED = "3", "0"
AGENT: Final = "sentinel_agent"
NO_SETTINGS: Final[Mapping[str, Any]] = MappingProxyType({})


class Program:
    """One of the product's processes in its namespace; started again it finds what it pinned."""

    def __init__(self, space: Namespace, module: str, config: Path, environment: Mapping[str, str]) -> None:
        """`module` may be followed by what it is told before its configuration."""
        self._space, self._log = space, config.with_suffix(".log")
        self._command = [sys.executable, "-m", *module.split(), "--config", str(config)]
        self._environment = os.environ | dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._space.entered(), self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stderr=log, start_new_session=True)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def cpu_s(self) -> float:
        """Spent so far by it and its threads; nothing while it does not run."""
        if self._process is None:
            return 0.0
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def waited_s(self) -> float:
        """For which its threads that live could have run and had no CPU, one added to the other."""
        if self._process is None:
            return 0.0
        tables = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[1]) for each in tables) / 1e9

    def said(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def check(self) -> None:
        """Raises Transient for one that ended by itself."""
        if self._process is not None and (code := self._process.poll()) is not None:
            lines = self.said().splitlines()
            raise Transient(f"{self._command[2]} ended with exit code {code}: {lines[-1] if lines else 'no word'}")

    def remove(self) -> None:
        """It, and what it left in the kernel."""
        if self._process is not None:
            self.kill()
        with self._space.entered():
            subprocess.run(
                [*self._command, "detach"], env=self._environment, capture_output=True, check=False, timeout=PATIENCE_S
            )


class Stage:
    """Nodes behind a balancer, all ready at the beginning."""

    def __init__(
        self,
        spaces: Mapping[str, Namespace],
        nodes: tuple[str, ...],
        folder: Path,
        agent: Mapping[str, Any],
        vips: Sequence[Mapping[str, Any]] = (),
        agent_module: str = AGENT,
    ) -> None:
        self.spaces, self.nodes, self.folder = spaces, nodes, folder
        told = plan.balancer(nodes)
        self._told = told | {"vips": [*told["vips"], *vips]}
        self.balancer = self._program(plan.EDGE, "sentinel_lb", self._told)
        self.agents = {role: self._program(role, agent_module, agent) for role in nodes}

    def drain(self, *nodes: str) -> None:
        """These and no others, by the balancer's configuration, which it reads again by itself."""
        names = set(map(plan.node_name, nodes))
        backends = [each | {"draining": each["name"] in names} for each in self._told["backends"]]
        config = self._config(plan.EDGE)
        fresh = config.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(self._told | {"backends": backends}))
        fresh.rename(config)  # at once: no half of it is read

    def cut(self, node: str) -> None:
        """The switch passes nothing on, in neither direction; no link goes down, and nobody is told."""
        self._port(plan.FRONT_SWITCH, node, DISABLED)

    def heal(self, node: str) -> None:
        self._port(plan.FRONT_SWITCH, node, FORWARDING)

    def kill(self, node: str) -> None:
        """As when its power fails: all links and its process at once."""
        for switch in (plan.FRONT_SWITCH, plan.BACK_SWITCH):
            self._link(switch, node, "down")
        self.agents[node].kill()

    def revive(self, node: str) -> None:
        for switch in (plan.BACK_SWITCH, plan.FRONT_SWITCH):
            self._link(switch, node, "up")
        self.agents[node].start()

    def states(self) -> dict[str, str]:
        """What the balancer says of each node; empty until it is up."""
        for each in (self.balancer, *self.agents.values()):
            each.check()
        with self.spaces[plan.EDGE].entered():
            found = _asked().get("backends", {})
        return {role: found[plan.node_name(role)]["state"] for role in self.nodes if plan.node_name(role) in found}

    def await_ready(self) -> None:
        wait_until(lambda: set(self.states().values()) == {"ready"}, "all nodes are ready")

    def await_state(self, node: str, *states: str) -> None:
        wait_until(lambda: self.states().get(node) in states, f"{node} is {' or '.join(states)}")

    def _program(self, role: str, module: str, told: Mapping[str, Any]) -> Program:
        config = self._config(role)
        config.write_text(yaml.safe_dump(told))
        return Program(self.spaces[role], module, config, plan.environment(role, self.nodes))

    def _config(self, role: str) -> Path:
        return self.folder / f"{role}.yaml"

    def _port(self, switch: str, role: str, state: str) -> None:
        run("bridge", "-n", self.spaces[switch].name, "link", "set", "dev", f"to-{role}", "state", state)

    def _link(self, switch: str, role: str, state: str) -> None:
        self.spaces[switch].ip("link", "set", f"to-{role}", state)


def wait_until(true: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > deadline:
            raise Transient(f"waited {patience_s:g} s until {what}, in vain: try again on a quieter machine")
        time.sleep(LOOK_S)


@contextmanager
def staged(
    nodes: int,
    *,
    behind_nat: bool = False,
    rate_bits: int = plan.NODE_RATE_BITS,
    vips: Sequence[Mapping[str, Any]] = (),
    settings: Mapping[str, Any] = NO_SETTINGS,
    agent_module: str = AGENT,
) -> Iterator[Stage]:
    """`vips` are served beside those that every stage has; `settings` are the agents', over those of every stage."""
    roles = plan.names(nodes)
    remove_pins_of_the_dead()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sentinel-failover-")))
        spaces = stack.enter_context(built(plan.topology(roles)))
        _keep_to_the_learned_port(spaces, roles)
        if behind_nat:
            for role in roles:
                nft(spaces[role], plan.behind_nat())
        stage = Stage(spaces, roles, folder, plan.agent(rate_bits) | dict(settings), vips, agent_module)
        for each in (*stage.agents.values(), stage.balancer):
            stack.callback(each.remove)
            each.start()
        stage.await_ready()
        yield stage


def nft(space: Namespace, rules: str) -> None:
    path = ("ip", "netns", "exec", space.name, "nft", "-f", "-")
    try:
        subprocess.run(path, input=rules, text=True, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise Transient(f"nft did not take the rules: {error.stderr.strip()}") from error


def _keep_to_the_learned_port(spaces: Mapping[str, Namespace], nodes: tuple[str, ...]) -> None:
    """A switch floods frames for a port that went down, and XDP on a veth sees what no card would take: another node
    would unwrap the dead one's tunnels, and nothing would be lost."""
    for role in (*nodes, plan.EDGE, RECEIVER):
        run("bridge", "-n", spaces[plan.FRONT_SWITCH].name, "link", "set", "dev", f"to-{role}", "flood", "off")


def _asked() -> dict[str, Any]:
    try:
        with urllib.request.urlopen(STATE, timeout=2.0) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (URLError, TimeoutError, ConnectionError):
        return {}
