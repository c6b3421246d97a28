"""The composition root: where orders come from, who is told, and the node that obeys them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog
import yaml
from prometheus_client import CollectorRegistry

from sentinel_agent import health, interface, logs, report, sinks, timing
from sentinel_agent.follow import Command, Follower
from sentinel_agent.kube import Access, Api
from sentinel_agent.metrics import TickCollector
from sentinel_agent.node import Intent, Node
from sentinel_agent.plane import Place, forget, open_plane
from sentinel_agent.settings import Settings, settings
from sentinel_agent.sinks.sink import SinkCollector
from sentinel_agent.tell import Teller
from sentinel_agent.watchdog import Watchdog
from sentinel_api.errors import Invalid, SentinelError, Transient
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_bpf import pins
from sentinel_mesh.priority import prefer

if TYPE_CHECKING:
    from types import FrameType

    from sentinel_agent.tick import Tick


log = structlog.get_logger()


@click.group(invoke_without_command=True)
@click.option("--config", "config_path", type=Path, help="Configuration file; without it the API server gives orders.")
@click.pass_context
def agent(context: click.Context, config_path: Path | None) -> None:
    """Make room on this node before bursts arrive.

    \b
    In a cluster the DaemonSet starts it.       On a machine without one:
      sentinel-agent                               sentinel-agent --config agent.yaml
                                                   sentinel-agent --config agent.yaml detach
    """
    context.obj = config_path
    if context.invoked_subcommand is None:
        run(settings(), config_path)


@agent.command()
@click.pass_obj
def detach(config_path: Path | None) -> None:
    """Hand everything back: programs off, queue emptied and gone, pins removed."""
    chosen = settings()
    config = _from_file(config_path) if config_path else NodeConfig()
    found = interface.named(config)
    for each in found:
        place = Place(chosen.object_path, chosen.pins, each, sharers=len(found))
        if interface.there(each.name):
            open_plane(place, config).detach()
            click.echo(f"{each.name} is as it was.")
        else:
            forget(place)
            click.echo(f"{each.name} is gone, and so is what was ours of it.")


def run(chosen: Settings, config_path: Path | None) -> None:
    stream = logs.configure(chosen.log_level)
    prefer()  # every thread of ours: the tick waits for whoever of them has the interpreter, and so for its CPU
    first = Intent(_from_file(config_path)) if config_path is not None else None
    pins.mount(chosen.pins.parent)
    node = Node(chosen)
    _obey_signals(node)
    threading.excepthook = lambda broken: node.fail(broken.exc_value or SystemExit(1))
    registry = CollectorRegistry()
    registry.register(logs.LogCollector(stream))
    with ExitStack() as ends:
        _join_mesh(chosen, node, registry, ends)
        _serve(chosen, node, registry, ends)
        _pour(chosen, registry, ends)
        watchdog = Watchdog.of(os.environ, node.not_alive, node.not_ready)
        if watchdog is not None:
            watchdog.start()
            ends.callback(watchdog.stop)
        if first is not None:
            node.obey(first)
        else:
            ends.callback(_join_cluster(chosen, node).stop)
        node.run()


def _pour(chosen: Settings, registry: CollectorRegistry, ends: ExitStack) -> None:
    poured = sinks.chosen(chosen.sinks, chosen.node, registry.collect)
    if poured:
        registry.register(SinkCollector(poured))
    for each in poured:
        each.start()
        ends.callback(each.stop)


def _join_cluster(chosen: Settings, node: Node) -> Teller:
    access = Access.in_cluster(os.environ)
    if access is None:
        raise Invalid("this is no pod, so there is no API server to ask: give --config FILE")
    api = Api(access)
    teller = Teller(api, chosen.node, node.status)

    def obey(command: Command) -> None:
        teller.report_seconds = command.spec.report_seconds
        node.obey(Intent(command.config, command.spec.desired_state, command.generation, command.spec.report_seconds))
        teller.hurry()

    Follower(api, chosen.node, obey, node.refuse).start()
    teller.start()
    return teller


def _join_mesh(chosen: Settings, node: Node, registry: CollectorRegistry, ends: ExitStack) -> None:
    if chosen.mesh is None:
        return
    from sentinel_agent import mesh, neighbours  # noqa: PLC0415  the engine's memory is for those who use it
    from sentinel_mesh.enrolment import enrolled  # noqa: PLC0415

    enrolment = enrolled(chosen.mesh.credentials, chosen.node, os.environ)
    if enrolment is not None:
        ends.callback(enrolment.stop)
    joined = mesh.join(chosen.mesh, chosen.node)

    alarmist = neighbours.Alarmist(joined)
    alarmist.start()
    ends.callback(alarmist.stop)

    def share(tick: Tick, draining: bool) -> None:
        joined.offer(mesh.Told(tick, draining))
        alarmist.offer(tick)

    node.share = share
    node.hints = neighbours.Listener(joined, chosen.node)
    registry.register(mesh.MeshCollector(joined, chosen.mesh.credentials))
    ends.callback(joined.close)
    log.info("mesh_joined", listen=chosen.mesh.listen, peers=len(chosen.mesh.peers))


def _serve(chosen: Settings, node: Node, registry: CollectorRegistry, ends: ExitStack) -> None:
    """Probes and metrics for the network, the last tick's state for this machine only."""
    registry.register(TickCollector(lambda: node.loop, lambda: node.last))

    def state() -> dict[str, object]:
        tick, loop = node.last, node.loop
        if tick is None or loop is None:
            return {}
        name, trouble = node.model
        model = {"inUse": name, "trouble": trouble, "fault": [lane.fault for lane in loop.lanes if lane.fault]}
        return report.state(tick) | {"timing": loop.timings.told(), "model": model}

    def ticks() -> dict[str, object]:
        loop = node.loop
        if loop is None:
            return {"stages": timing.STAGES, "rows": [], "missed": 0}
        return {"stages": timing.STAGES, "rows": loop.timings.rows(), "missed": loop.totals.missed}

    servers = (
        health.Server(
            (chosen.listen, chosen.metrics_port),
            {
                "/metrics": health.metrics(registry),
                "/healthz": lambda: health.verdict(node.not_alive()),
                "/readyz": lambda: health.verdict(node.not_ready()),
            },
        ),
        health.Server(
            (chosen.debug_listen, chosen.debug_port),
            {"/debug/state": health.state(state), "/debug/ticks": health.state(ticks)},
        ),
    )
    for server in servers:
        server.start()
        ends.callback(server.stop)


def _obey_signals(node: Node) -> None:
    def end(number: int, _frame: FrameType | None) -> None:
        log.info("told_to_stop", signal=signal.Signals(number).name)
        node.end()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _from_file(path: Path) -> NodeConfig:
    try:
        read = yaml.safe_load(path.read_text())
    except OSError as error:
        raise Invalid(f"cannot read {path} ({error.strerror}): name a file that is there") from error
    except yaml.YAMLError as error:
        raise Invalid(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(read, dict):
        raise Invalid(f"{path} must hold a mapping such as `trafficClasses: [...]`")
    return NodeConfig.parse(read)


def main() -> None:
    try:
        agent(standalone_mode=False)
    except SentinelError as error:
        click.echo(f"sentinel-agent: {error}", err=True)
        sys.exit(1 if isinstance(error, Transient) else 2)  # after 2, which a person must mend, the unit rests
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
