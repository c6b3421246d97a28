"""The agent's life on one node: waits for orders, opens the plane, runs the tick's thread, hands back when told.

        order            Detached
waiting ─────→ running ───────────→ detached
                  ↑        Active      │
                  └────────────────────┘
"""

from __future__ import annotations

import gc
import os
import queue
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Literal

import structlog

from sentinel_agent import interface
from sentinel_agent.clock import Metronome
from sentinel_agent.health import stalled
from sentinel_agent.loop import Loop, Tick
from sentinel_agent.plane import Place, Plane, open_plane
from sentinel_agent.predict.schedule import Schedule
from sentinel_agent.predict.smoothing import Smoothing
from sentinel_agent.report import status
from sentinel_api.errors import Invalid, Unsupported
from sentinel_api.v1alpha1.buffernode import BufferNodeStatus, Versions
from sentinel_api.v1alpha1.conditions import MAX_NODE_MESSAGE, NodeCondition
from sentinel_bpf.object import ABI_VERSION
from sentinel_core.sample import PERIOD_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_agent.settings import Settings
    from sentinel_api.v1alpha1.nodeconfig import NodeConfig
    from sentinel_bpf.buffer.port import Interface

PATIENCE_NS: Final = 3_000_000_000  # thirty ticks without one answered: the process is stuck, not the machine busy

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Intent:
    """What this node shall do now, by whoever may say so: the operator, a file, a signal."""

    config: NodeConfig
    desired: Literal["Active", "Draining", "Detached"] = "Active"
    generation: int = 0


class Node:
    """Its methods may be called from any thread, except `run`, which is the main thread's."""

    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen
        self._intents: queue.SimpleQueue[Intent | None] = queue.SimpleQueue()
        self._intent: Intent | None = None
        self._loop: Loop | None = None
        self._metronome: Metronome | None = None
        self._thread: threading.Thread | None = None
        self._began_ns = time.monotonic_ns()
        self._crash: BaseException | None = None
        self._refused = ""  # why the newest orders are not obeyed; the last good ones still are
        self.last: Tick | None = None
        self.share: Callable[[Tick, Plane], None] | None = None  # to whom every tick goes; it must not wait
        self.versions = Versions(
            agent=version("sentinel-buffers")[:48], kernel=os.uname().release[:48], abi=ABI_VERSION
        )

    @property
    def loop(self) -> Loop | None:
        return self._loop

    def obey(self, intent: Intent) -> None:
        self._intents.put(intent)

    def end(self) -> None:
        self._intents.put(None)

    def fail(self, error: BaseException) -> None:
        """A thread of ours broke: end, so that leases run out and whoever watches the process starts it anew."""
        self._crash = error
        self.end()

    def run(self) -> None:
        """Until `end`, or until the tick breaks, whose error is raised here: then leases end and a restart follows."""
        while (intent := self._intents.get()) is not None:
            self._try(intent)
        keep = self._intent is None or self._intent.config.data_plane.on_agent_exit == "Keep"
        self._stop(hand_back=not keep)
        if self._crash is not None:
            raise self._crash

    def status(self) -> BufferNodeStatus | None:
        """None before there is anything to say."""
        intent, tick, loop = self._intent, self.last, self._loop
        if intent is None and not self._refused:
            return None
        if intent is not None and intent.desired == "Detached":
            return BufferNodeStatus(
                observed_generation=intent.generation, config_digest=intent.config.digest, state="Detached",
                versions=self.versions,
            )  # fmt: skip
        if tick is None or loop is None or intent is None:
            told = BufferNodeStatus(versions=self.versions)
            return told.model_copy(update={"conditions": self._refusal()}) if self._refused else None
        told = status(tick, loop.plane.verdict, self.versions, intent.desired)
        conditions = (*told.conditions, *self._refusal())
        return told.model_copy(update={"observed_generation": intent.generation, "conditions": conditions})

    def not_alive(self) -> str:
        """Why a liveness probe should fail; a node that waits for orders or handed everything back is alive."""
        loop = self._loop
        return stalled(loop.last_tick_ns, time.monotonic_ns(), PATIENCE_NS) if loop is not None else ""

    def not_ready(self) -> str:
        if self._intent is None:
            return self._refused or "no orders yet"
        return "" if self._intent.desired == "Detached" or self.last is not None else "no tick yet"

    def _try(self, intent: Intent) -> None:
        """Orders that cannot be obeyed change nothing and are told; a file that cannot be obeyed ends the process."""
        try:
            self._carry_out(intent)
            self._refused = ""
        except (Invalid, Unsupported) as error:
            if intent.generation == 0:
                raise
            self._refused = str(error)
            log.warning("orders_refused", error=str(error))

    def _refusal(self) -> tuple[NodeCondition, ...]:
        if not self._refused:
            return ()
        return (
            NodeCondition(
                type="ConfigAccepted", status="False", reason="Refused", message=self._refused[:MAX_NODE_MESSAGE],
                last_transition_time=datetime.fromtimestamp(int(time.time()), UTC),
            ),
        )  # fmt: skip

    def _carry_out(self, intent: Intent) -> None:
        if intent.desired == "Detached":
            self._intent = intent
            if self._loop is not None:
                self._stop(hand_back=True)
            return
        place = interface.chosen(intent.config)
        before, self._intent = self._intent, intent
        if self._loop is None:
            self._start(intent.config, place)
        elif before is not None and _place_moved(before.config, intent.config):
            self._stop(hand_back=True)
            self._start(intent.config, place)
        else:
            self._loop.wanted = intent.config

    def _start(self, config: NodeConfig, chosen: Interface) -> None:
        place = Place(object_path=self._settings.object_path, pins=self._settings.pins, interface=chosen)
        self._loop = Loop(
            plane=open_plane(place, config),
            forecaster=Schedule(),
            fallback=Smoothing(),
            publish=self._publish,
            config=config,
        )
        self._loop.last_tick_ns = time.monotonic_ns()
        self._metronome = Metronome(PERIOD_NS, self._loop.tick)
        self._thread = threading.Thread(target=self._tick_for_ever, name="tick", daemon=True)
        gc.collect()
        gc.freeze()  # what lives until the end need not be walked again at every collection
        self._thread.start()
        log.info("started", interface=place.interface.name, tier=self._loop.plane.verdict.tier.value)

    def _tick_for_ever(self) -> None:
        assert self._metronome is not None
        try:
            self._metronome.run()
        except BaseException as error:  # noqa: BLE001  raised again by `run`, in the main thread
            self.fail(error)

    def _publish(self, tick: Tick) -> None:
        self.last = tick
        if self.share is not None and self._loop is not None:
            self.share(tick, self._loop.plane)
        for decision in tick.chosen.decisions:
            log.debug("decision", sentence=decision.sentence())

    def _stop(self, *, hand_back: bool) -> None:
        if self._metronome is not None and self._thread is not None:
            self._metronome.stop()
            self._thread.join()
        if self._loop is not None:
            plane = self._loop.plane
            if hand_back:
                _hand_back(plane, self._loop)
            plane.close()
        self._loop, self._metronome, self._thread, self.last = None, None, None, None
        log.info("stopped", handed_back=hand_back)


def _hand_back(plane: Plane, loop: Loop) -> None:
    """Leases end first, so that nothing new enters the queue while it is emptied."""
    loop.let_go()
    plane.detach()


def _place_moved(before: NodeConfig, after: NodeConfig) -> bool:
    """What cannot change under a loaded plane: the interface, its rate and the size of the flow table."""
    return (before.data_plane.interfaces, before.data_plane.max_flows, before.data_plane.mode) != (
        after.data_plane.interfaces,
        after.data_plane.max_flows,
        after.data_plane.mode,
    )
