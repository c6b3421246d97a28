"""Buffer nodes behind a balancer, as the product runs them: its agents, its balancer, its mesh, each a process.

sender ── front ── edge (VIP by ARP) ── tunnels ── node1 … nodeN ── back ── receiver, backend2 (both have the VIP)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError

import yaml

from sentinel_api.errors import Transient
from sentinel_lab import results, seasoning
from sentinel_lab.configuration import configuration
from sentinel_lab.experiment import LOOK_SECONDS, Plan, Run, judged, streams
from sentinel_lab.history import Event, History, Tick
from sentinel_lab.namespaces import go_first
from sentinel_lab.product import AgentProcess
from sentinel_lab.topology import NODE_DEVICE, RECEIVER, SENDER, End, Route, Segment, Topology, built
from sentinel_lab.traffic.orders import SendOrder
from sentinel_lab.traffic.run import ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sentinel_lab.namespaces import Namespace
    from sentinel_lab.scenario import Scenario

VIP: Final = "10.78.0.100"
EDGES: Final = "10.78.0.8/29"
BACK: Final = "back"
BACKENDS: Final = 2
FLOWS: Final = 48
"""Enough that the nodes' parts of a class differ by little."""
PATIENCE_S: Final = 120.0
MESH_PORT: Final = 7447
STATE: Final = "http://127.0.0.1:9468/debug/state"


def fleet(nodes: int, balancers: int = 1, backends: int = 1) -> Topology:
    """Each node knows the way to one of the backends; all of them have the service's address."""
    edges = [f"edge{index}" for index in range(1, balancers + 1)]
    names = [f"node{index}" for index in range(1, nodes + 1)]
    served = behind(backends)
    front = [End(SENDER, NODE_DEVICE, "10.78.0.2/24")]
    front += [End(role, NODE_DEVICE, f"{_edge(index)}/24") for index, role in enumerate(edges)]
    front += [End(role, NODE_DEVICE, f"{_node(index)}/24") for index, role in enumerate(names)]
    back = [End(role, BACK, f"10.79.0.{21 + index}/24") for index, role in enumerate(names)]
    back += [End(role, BACK, f"10.79.0.{31 + index}/24") for index, role in enumerate(served)]
    return Topology(
        name=f"fleet-{nodes}-{balancers}-{backends}",
        segments=(Segment("frontsw", tuple(front)), Segment("backsw", tuple(back))),
        routes=tuple(Route(role, f"{VIP}/32", f"10.79.0.{31 + index % backends}") for index, role in enumerate(names)),
        routers=tuple(names),
        services=tuple(End(role, "lo", f"{VIP}/32") for role in served),
    )


def behind(backends: int) -> tuple[str, ...]:
    """Who has the service's address."""
    return (RECEIVER, *(f"backend{index}" for index in range(2, backends + 1)))


def _edge(index: int) -> str:
    return f"10.78.0.{10 + index}"


def _node(index: int) -> str:
    return f"10.78.0.{21 + index}"


def part(scenario: Scenario, nodes: int) -> Scenario:
    """What one of so many nodes is: together they have the link and the pool that one alone would have."""
    classes = tuple(
        replace(each, scale=each.scale / nodes, floor_bytes=each.floor_bytes // nodes) for each in scenario.classes
    )
    return replace(
        scenario,
        drain_bytes_per_s=scenario.drain_bytes_per_s // nodes,
        pool_bytes=scenario.pool_bytes // nodes,
        classes=classes,
    )


@dataclass(frozen=True, slots=True)
class FleetRun:
    """All nodes as one, and each for itself."""

    whole: Run
    nodes: Mapping[str, History]


def carried_out(plan: Plan, nodes: int, look: Callable[..., None] | None = None) -> FleetRun:
    """As `experiment.carried_out`; `look` is also given what each node went through."""
    with ExitStack() as stack:
        spaces = stack.enter_context(built(fleet(nodes, backends=BACKENDS)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sentinel-lab-")))
        agents = {name: stack.enter_context(each) for name, each in _agents(plan, nodes, spaces, folder).items()}
        stack.enter_context(_balancer(plan, spaces["edge1"], agents, folder))
        order = SendOrder(
            namespace=spaces[SENDER].name, address=VIP, seconds=plan.seconds, streams=streams(plan, flows=FLOWS)
        )
        others = [spaces[name].name for name in behind(BACKENDS)[1:]]
        traffic = stack.enter_context(ready(order, spaces[RECEIVER].name, folder, beside=others))
        start_ns = traffic.start()
        for agent in agents.values():
            agent.begin(start_ns)
        whole = Together([agent.history for agent in agents.values()])
        histories = {name: agent.history for name, agent in agents.items()}
        while traffic.sending() or not whole.drained():
            time.sleep(LOOK_SECONDS)
            for agent in agents.values():
                agent.check()
            whole.add()
            if look:
                look(whole.history, start_ns, histories)
        outcome = traffic.outcome()
        whole.add()
    each = {name: history.after(start_ns) for name, history in histories.items()}
    run = judged(plan, start_ns, whole.history.after(start_ns), outcome)
    starved = [f"{name}: {why}" for name, history in each.items() for why in results.starved(plan.scenario, history)]
    return FleetRun(replace(run, nodes=nodes, dirt=(*run.dirt, *starved)), each)


class Together:
    """The nodes' latest ticks, added up as often as it is asked to."""

    def __init__(self, parts: Sequence[History]) -> None:
        self.history = History()
        self._parts = parts
        self._told = [0] * len(parts)

    def add(self) -> None:
        now_ns = time.monotonic_ns()
        for each in self._parts[0].ticks:
            latest = [part.of(each)[-1] for part in self._parts if part.of(each)]
            if len(latest) == len(self._parts):
                self.history.add(each, _summed(now_ns, latest))
        for index, part_ in enumerate(self._parts):
            fresh = part_.events[self._told[index] :]
            self._told[index] += len(fresh)
            self.history.events.extend(Event(each.at_ns, f"node{index + 1}: {each.text}") for each in fresh)

    def drained(self) -> bool:
        return not any(ticks[-1].backlog_bytes for part_ in self._parts for ticks in part_.ticks.values())


def _summed(now_ns: int, ticks: Sequence[Tick]) -> Tick:
    names = ("limit_bytes", "backlog_bytes", "arrived_packets", "arrived_bytes", "sent_bytes", "drops", "past_queue")
    sums = {name: sum(getattr(tick, name) for tick in ticks) for name in names}
    return Tick(at_ns=now_ns, sojourn=tuple(map(sum, zip(*(tick.sojourn for tick in ticks), strict=True))), **sums)


def _agents(plan: Plan, nodes: int, spaces: Mapping[str, Namespace], folder: Path) -> dict[str, AgentProcess]:
    scenario = part(plan.scenario, nodes)
    lives = replace(plan, scenario=scenario).lives() if plan.past_s else ()
    found = {}
    for index in range(nodes):
        name = f"node{index + 1}"
        own = folder / name
        own.mkdir()
        seasoning.prepare(own, seasoning.samples(scenario, lives, start_ns=0))
        found[name] = AgentProcess(
            spaces[name],
            scenario,
            own,
            seasoned_in=own if plan.past_s else None,
            settings={"balancers": [EDGES]},
            environment=_mesh(_node(index), [_edge(0)]),
        )
    return found


def _mesh(own: str, peers: Sequence[str]) -> dict[str, str]:
    return {
        "SENTINEL_MESH_LISTEN": f"tcp/{own}:{MESH_PORT}",
        "SENTINEL_MESH_PEERS": ",".join(f"tcp/{each}:{MESH_PORT}" for each in peers),
    }


@contextmanager
def _balancer(plan: Plan, space: Namespace, agents: Mapping[str, AgentProcess], folder: Path) -> Iterator[None]:
    """Up, and every node ready by its word."""
    config = folder / "balancer.yaml"
    config.write_text(yaml.safe_dump(_balancer_config(plan, agents)))
    log = folder / "balancer.log"
    environment = os.environ | {"SENTINEL_NODE_NAME": f"lab-{os.getpid()}-edge1"} | _mesh(_edge(0), [])
    command = [sys.executable, "-m", "sentinel_lb", "--config", str(config)]
    with space.entered(), log.open("wb") as sink:
        process = subprocess.Popen(command, env=environment, stderr=sink, start_new_session=True)
    go_first(process.pid)
    try:
        _await_nodes(space, process, log)
        yield
    finally:
        process.kill()
        process.wait()
        with space.entered():
            subprocess.run([*command, "detach"], env=environment, capture_output=True, check=False, timeout=PATIENCE_S)


def _balancer_config(plan: Plan, agents: Mapping[str, AgentProcess]) -> dict[str, Any]:
    told = configuration(plan.scenario)
    return {
        "interface": NODE_DEVICE,
        "trafficClasses": told["trafficClasses"],
        "classIds": told["classIds"],
        "backends": [{"name": each.name, "address": _node(index)} for index, each in enumerate(agents.values())],
        "vips": [{"address": VIP, "port": each.port, "protocol": "UDP"} for each in plan.scenario.classes],
    }


def _await_nodes(space: Namespace, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    states: list[str] = []
    while not states or set(states) != {"ready"}:
        if process.poll() is not None:
            raise Transient(f"the balancer ended with exit code {process.returncode}: {_last_line(log)}")
        if time.monotonic() > deadline:
            raise Transient(f"the balancer found not all nodes ready after {PATIENCE_S:g} s: {_last_line(log)}")
        time.sleep(LOOK_SECONDS)
        with space.entered():
            states = [each["state"] for each in _state().get("backends", {}).values()]


def _state() -> dict[str, Any]:
    try:
        with urllib.request.urlopen(STATE, timeout=2.0) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (URLError, TimeoutError, ConnectionError):
        return {}


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
