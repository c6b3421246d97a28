"""The composition root: where orders come from, who is told, and the loop that carries them out."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import structlog
from prometheus_client import CollectorRegistry

from sentinel_api.errors import Invalid, SentinelError, Transient
from sentinel_api.repeats import Repeats
from sentinel_bpf import layout, pins
from sentinel_lb import health, report, ways
from sentinel_lb.act import plane as planes
from sentinel_lb.act.announce.choice import announcer
from sentinel_lb.act.checkup import Checkup
from sentinel_lb.act.hands import Hands
from sentinel_lb.act.prober import Prober, Wire
from sentinel_lb.follow import ConfigMap, File, Follower, parsed
from sentinel_lb.loop import Loop, Tick
from sentinel_lb.observe import Observer
from sentinel_lb.settings import Settings, settings
from sentinel_mesh.enrolment import enrolled
from sentinel_mesh.mesh import Mesh, incarnation
from sentinel_mesh.place import Place
from sentinel_mesh.priority import prefer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
    from sentinel_lb.act.plane import Plane
    from sentinel_lb.follow import Source

PATIENCE_NS: Final = 3_000_000_000  # thirty ticks without one answered: the process is stuck, not the machine busy
FIRST_CONFIG_S: Final = 0.2

log = structlog.get_logger()


@click.group(invoke_without_command=True)
@click.option("--config", "config_path", type=Path, help="Configuration file; without it a ConfigMap is asked for.")
@click.pass_context
def balancer(context: click.Context, config_path: Path | None) -> None:
    """Send new flows to the buffer node that has room for them, and known ones to where they were.

    \b
    In a cluster the operator starts it.       On a machine without one:
      sentinel-lb                                 sentinel-lb --config balancer.yaml
                                                  sentinel-lb --config balancer.yaml detach
    """
    context.obj = config_path
    if context.invoked_subcommand is None:
        chosen = settings()
        _logs(chosen)
        source = File(config_path) if config_path else _config_map(chosen)
        Balancer(chosen, source).run()


@balancer.command()
@click.pass_obj
def detach(config_path: Path | None) -> None:
    """Hand everything back: program off, pins removed, addresses withdrawn."""
    chosen = settings()
    source = File(config_path) if config_path else _config_map(chosen)
    click.echo(f"{_hand_back(chosen, parsed(source.read()))} is as it was.")


class Balancer:
    """One process: its threads, in the order in which they depend on each other."""

    def __init__(self, chosen: Settings, source: Source) -> None:
        self._settings = chosen
        self._follower = Follower(source, self._obey)
        self._config: BalancerConfig | None = None
        self._loop: Loop | None = None
        self._stopped = threading.Event()
        self._turned = threading.Event()
        """Stopped, or told to hand back, or to work again."""
        self._handed_back = False
        self._came_up = False
        """It has worked, or handed everything back, by its newest orders: no other state looks like done."""
        self._crash: BaseException | None = None
        self._registry = CollectorRegistry()

    def run(self) -> None:
        """Until told to stop, or until a thread breaks, whose error is raised here."""
        prefer()  # all its threads: one that runs first waits for the interpreter's lock, whoever holds it
        pins.mount(self._settings.pins.parent)
        self._obey_signals()
        threading.excepthook = lambda broken: self._fail(broken.exc_value or SystemExit(1))
        with ExitStack() as stack:
            stack.enter_context(health.served((self._settings.listen, self._settings.metrics_port), self._pages()))
            self._follower.start()
            stack.callback(self._follower.stop)
            while self._config is None and not self._stopped.wait(FIRST_CONFIG_S):
                continue
            while not self._stopped.is_set():
                self._work()
        if self._crash is not None:
            raise self._crash

    def _work(self) -> None:
        """As the configuration says, until that turns or the process ends."""
        self._turned.clear()
        config = self._config
        if config is None or self._stopped.is_set():
            return
        with ExitStack() as stack:
            if config.detached:
                log.info("handed_back", interface=_hand_back(self._settings, config))
                self._handed_back = True
                stack.callback(setattr, self, "_handed_back", False)
            else:
                self._balance(config, stack)
            self._came_up |= not self._turned.is_set()
            self._turned.wait()

    def _balance(self, config: BalancerConfig, stack: ExitStack) -> None:
        chosen = self._settings
        place = _place(chosen, config)
        scout = ways.Scout(place.interface)
        scout.start()
        stack.callback(scout.stop)
        plane = planes.open_plane(place)
        stack.callback(plane.close)
        prober = Prober(_wire(plane), plane.prober, plane.seen)
        prober.start()
        stack.callback(prober.stop)
        checkup = Checkup(place.interface, _wire(plane).tunnel_port)
        checkup.start()
        stack.callback(checkup.stop)
        mesh, born = self._join_mesh(stack)
        hands = Hands(
            plane,
            prober,
            checkup,
            scout,
            lambda wanted: announcer(place.interface, scout.latest.uplink, chosen.frr, wanted),
        )
        stack.callback(hands.close)
        loop = Loop(chosen.node, hands, Observer(plane, prober, scout, mesh), _teller(mesh, born), config)
        ticking = threading.Thread(target=loop.run, name="tick", daemon=True)
        ticking.start()
        stack.callback(ticking.join)
        stack.callback(loop.stop)
        self._loop = loop
        stack.callback(setattr, self, "_loop", None)
        if self._config is not None and self._config is not config:
            loop.wanted = self._config  # it came while all of this began
        told = report.BalancerCollector(lambda: self._loop, plane, prober, checkup)
        self._registry.register(told)
        stack.callback(self._registry.unregister, told)
        stack.enter_context(health.served(("127.0.0.1", chosen.debug_port), self._debug(checkup)))
        log.info("started", interface=place.interface, node=chosen.node)

    def _join_mesh(self, stack: ExitStack) -> tuple[Mesh[Tick] | None, int]:
        chosen, born = self._settings, incarnation()
        if chosen.mesh is None:
            return None, born
        place = Place(
            chosen.mesh.cluster, chosen.node, born, chosen.mesh.listen, chosen.mesh.peers, attentive=True,
            routers=chosen.mesh.routers, credentials=chosen.mesh.credentials, members=chosen.mesh.members,
            roll=chosen.mesh.roll, zone=chosen.mesh.zone, zones=chosen.mesh.zones,
        )  # fmt: skip
        enrolment = enrolled(chosen.mesh.credentials, chosen.node, os.environ)
        if enrolment is not None:
            stack.callback(enrolment.stop)
        mesh: Mesh[Tick] = Mesh(place, lambda tick, seq: report.node_state(tick, born, seq))
        stack.callback(mesh.close)
        return mesh, born

    def _obey(self, config: BalancerConfig) -> None:
        """Another interface needs another process: what is attached to the old one is handed over by detaching it."""
        if self._config is not None and config.interface != self._config.interface:
            raise Invalid("interface cannot change while it runs: stop it, detach, and start it again")
        turns = self._config is not None and config.detached != self._config.detached
        self._config = config
        if turns:
            self._turned.set()
        elif self._loop is not None:
            self._loop.wanted = config

    def _pages(self) -> Mapping[str, health.Made]:
        return {
            "/metrics": health.metrics(self._registry),
            "/healthz": health.probe(self._not_alive),
            "/readyz": health.probe(self._not_ready),
        }

    def _debug(self, checkup: Checkup) -> Mapping[str, health.Made]:
        def read() -> dict[str, object]:
            loop = self._loop
            if loop is None or loop.last is None:
                return {}
            return report.state(loop.last, checkup.health, loop.hands.spared)

        return {"/debug/state": health.state(read)}

    def _not_alive(self) -> str:
        if not self._came_up:
            return self._follower.complaint or "it is coming up"
        last = self._loop.last if self._loop is not None else None
        if last is None:
            return ""
        silent_ns = time.monotonic_ns() - last.at_ns
        return f"no tick for {silent_ns / 1e9:.1f} s" if silent_ns > PATIENCE_NS else ""

    def _not_ready(self) -> str:
        if self._config is None:
            return self._follower.complaint or "no configuration yet"
        if self._handed_back:
            return "everything is handed back"
        if self._config.detached:
            return ""  # who ordered it takes unready for done
        return "" if self._loop is not None and self._loop.last is not None else "no tick yet"

    def _fail(self, error: BaseException) -> None:
        """A thread of ours broke: end, so that whoever watches the process starts it anew; the kernel goes on. Told at
        once, as the way out may break as well."""
        log.error("thread_broke", thread=threading.current_thread().name, exc_info=error)
        self._crash = error
        self._stop()

    def _stop(self) -> None:
        self._stopped.set()
        self._turned.set()

    def _obey_signals(self) -> None:
        def end(number: int, _frame: FrameType | None) -> None:
            log.info("told_to_stop", signal=signal.Signals(number).name)
            self._stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)


def _hand_back(chosen: Settings, config: BalancerConfig) -> str:
    """Addresses first, so that packets find another way before the program goes. Answers whose device it was."""
    place = _place(chosen, config)
    announcer(place.interface, ways.looked_at(place.interface), chosen.frr, config).withdraw()
    planes.detach(place)
    return place.interface


def _teller(mesh: Mesh[Tick] | None, born: int) -> Callable[[Tick], None]:
    def tell(tick: Tick) -> None:
        if mesh is None:
            return
        mesh.offer(tick)
        try:
            mesh.share(report.share(tick, born))
        except (Invalid, Transient) as error:  # of more nodes than one record holds
            log.debug("share_untold", error=str(error))

    return tell


def _wire(plane: Plane) -> Wire:
    names = layout.constants(plane.place.object_path, "sn_wire")
    kinds = layout.constants(plane.place.object_path, "sn_probe_kind")
    return Wire(
        magic=names["SN_PROBE_MAGIC"],
        version=names["SN_PROBE_VERSION"],
        ask=kinds["SN_PROBE_ASK"],
        probe_port=names["SN_PROBE_PORT"],
        tunnel_port=names["SN_TUNNEL_PORT"],
    )


def _place(chosen: Settings, config: BalancerConfig) -> planes.Place:
    return planes.Place(chosen.object_path, chosen.pins, config.interface or ways.default_interface())


def _config_map(chosen: Settings) -> ConfigMap:
    return ConfigMap.in_cluster(os.environ, chosen.namespace, chosen.config_map)


def _logs(chosen: Settings) -> None:
    render = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            Repeats(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(chosen.log_level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main() -> None:
    try:
        balancer(standalone_mode=False)
    except SentinelError as error:
        click.echo(f"sentinel-lb: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
