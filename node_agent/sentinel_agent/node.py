"""The agent's life on one node: waits for orders, opens the planes, runs the tick's thread, hands back when told.

        order            Detached
waiting ─────→ running ───────────→ detached
                ↑   │    Active       │
                │   │                 │
                │   └→ reopening: an interface or what is ours on it changed
                └─────────────────────┘
"""

from __future__ import annotations

import gc
import os
import queue
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Literal

import structlog

from sentinel_agent import conditions, rooms
from sentinel_agent.clock import Metronome
from sentinel_agent.health import stalled
from sentinel_agent.hints import no_hints
from sentinel_agent.lane import Brains
from sentinel_agent.loop import Loop
from sentinel_agent.predict.keeper import ModelKeeper
from sentinel_agent.predict.present import Present
from sentinel_agent.predict.smoothing import Smoothing
from sentinel_agent.report import status
from sentinel_api.errors import Invalid, Unsupported
from sentinel_api.v1alpha1.buffernode import BufferNodeStatus, Versions
from sentinel_bpf.object import ABI_VERSION
from sentinel_core.carried import LEAST_S
from sentinel_core.sample import PERIOD_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sentinel_agent.hints import Hints
    from sentinel_agent.rooms import Rooms
    from sentinel_agent.settings import Settings
    from sentinel_agent.tick import Tick
    from sentinel_api.v1alpha1.conditions import NodeCondition
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
    report_seconds: int = LEAST_S


@dataclass(frozen=True, slots=True)
class Reopen:
    """Something of an interface changed: what may be done there has to be found out anew."""

    why: str


class Node:
    """Its methods may be called from any thread, except `run`, which is the main thread's."""

    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen
        self._todo: queue.SimpleQueue[Intent | Reopen | None] = queue.SimpleQueue()
        self._intent: Intent | None = None
        self._rooms: Rooms | None = None
        self._loop: Loop | None = None
        self._metronome: Metronome | None = None
        self._thread: threading.Thread | None = None
        self._crash: BaseException | None = None
        self._keeper = ModelKeeper()
        self._brains: dict[str, Brains] = {}
        self._refused = ""  # why the newest orders are not obeyed; the last good ones still are
        self.last: Tick | None = None
        self.share: Callable[[Tick, bool], None] | None = None  # to whom every tick goes; it must not wait
        self.hints: Callable[[NDArray[np.bool_], int], Hints] = no_hints
        self.versions = Versions(
            agent=version("sentinel-buffers")[:36], kernel=os.uname().release[:36], abi=ABI_VERSION
        )

    @property
    def model(self) -> tuple[str, str]:
        """Name of the model in use, and why it is not the one that is wanted."""
        return self._keeper.model.name if self._keeper.model else "", self._keeper.trouble

    @property
    def loop(self) -> Loop | None:
        return self._loop

    def obey(self, intent: Intent) -> None:
        self._todo.put(intent)

    def refuse(self, why: str) -> None:
        """Orders came that could not even be read."""
        self._refused = why

    def end(self) -> None:
        self._todo.put(None)

    def fail(self, error: BaseException) -> None:
        """A thread of ours broke: end, so that leases run out and whoever watches the process starts it anew."""
        self._crash = error
        self.end()

    def run(self) -> None:
        """Until `end`, or until the tick breaks, whose error is raised here: then leases end and a restart follows."""
        self._keeper.start()
        while (todo := self._todo.get()) is not None:
            if isinstance(todo, Reopen):
                self._reopen(todo)
            else:
                self._try(todo)
        self._keeper.stop()
        keep = self._intent is None or self._intent.config.data_plane.on_agent_exit == "Keep"
        self._stop(hand_back=not keep)
        if self._crash is not None:
            raise self._crash

    def status(self) -> BufferNodeStatus | None:
        """None before there is anything to say."""
        intent, tick, loop = self._intent, self.last, self._loop
        if intent is not None and intent.desired == "Detached":
            return BufferNodeStatus(
                observed_generation=intent.generation, config_digest=intent.config.digest, state="Detached",
                versions=self.versions, conditions=self._extra(),
            )  # fmt: skip
        if tick is None or loop is None or intent is None:
            missing = conditions.missing(self._rooms.absent) if self._rooms is not None else ()
            told = (*missing, *self._extra())
            return BufferNodeStatus(versions=self.versions, conditions=told) if told else None
        more = conditions.of(tick, loop, intent.config, self._keeper.trouble, self._why_refused())
        told_status = status(tick, self.versions, intent.desired, *more)
        return told_status.model_copy(update={"observed_generation": intent.generation})

    def not_alive(self) -> str:
        """Why a liveness probe should fail; a node that waits for orders or handed everything back is alive."""
        loop = self._loop
        return stalled(loop.last_tick_ns, time.monotonic_ns(), PATIENCE_NS) if loop is not None else ""

    def not_ready(self) -> str:
        if self._intent is None:
            return self._refused or "no orders yet"
        if self._intent.desired == "Detached" or self.last is not None:
            return ""
        return "; ".join(self._rooms.absent.values()) if self._rooms and self._rooms.absent else "no tick yet"

    def _why_refused(self) -> str:
        return self._refused or (self._loop.refused if self._loop is not None else "")

    def _extra(self) -> tuple[NodeCondition, ...]:
        return conditions.refusal(self._why_refused(), time.time_ns())

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

    def _carry_out(self, intent: Intent) -> None:
        if intent.desired == "Detached":
            self._intent = intent
            self._stop(hand_back=True)
            return
        chosen = rooms.chosen(intent.config, self._rooms)
        before, self._intent = self._intent, intent
        for each in self._brains.values():
            each.carried.over(intent.report_seconds)
        self._keeper.want(intent.config.model)
        if self._rooms is None:
            self._start(self._opened(chosen))
        elif before is not None and _place_moved(before.config, intent.config):
            self._stop(hand_back=True)
            self._start(self._opened(chosen))
        elif self._loop is not None:
            self._loop.wanted = intent.config

    def _changed(self, why: str) -> None:
        self._todo.put(Reopen(why))

    def _reopen(self, todo: Reopen) -> None:
        """Everything of ours that still stands is taken over as a successor would; packets go on meanwhile."""
        if self._rooms is None or self._intent is None:
            return
        log.warning("reopening", why=todo.why)
        interfaces = self._rooms.interfaces
        self._stop(hand_back=False)
        self._start(self._opened(interfaces))

    def _opened(self, interfaces: Sequence[Interface]) -> Rooms:
        assert self._intent is not None
        return rooms.opened(interfaces, self._intent.config, self._settings, self._changed, self._brains_of)

    def _brains_of(self, name: str) -> Brains:
        """What was learned of an interface outlives its plane."""
        if name not in self._brains:
            self._brains[name] = Brains(self._keeper.cortex(), Smoothing())
        assert self._intent is not None
        self._brains[name].carried.over(self._intent.report_seconds)
        smooth = self._intent.config.model.fallback == "Smoothing"
        if smooth is not isinstance(self._brains[name].fallback, Smoothing):
            self._brains[name].fallback = Smoothing() if smooth else Present()
        return self._brains[name]

    def _start(self, opened: Rooms) -> None:
        assert self._intent is not None
        self._rooms = opened
        opened.inspector.start()
        if not opened.lanes:
            log.warning("nothing_to_steer", why="; ".join(opened.absent.values()))
            return
        loop = Loop(opened.lanes, self._publish, self._intent.config, self.hints)
        loop.last_tick_ns = time.monotonic_ns()
        loop.blind = opened.absent
        self._metronome = Metronome(PERIOD_NS, loop.tick)
        self._thread = threading.Thread(target=self._tick_for_ever, name="tick", daemon=True)
        self._loop = loop
        gc.collect()
        gc.freeze()  # what lives until the end need not be walked again at every collection
        self._thread.start()
        for lane in opened.lanes:
            log.info("started", interface=lane.name, tier=lane.plane.verdict.tier.value, why=lane.plane.verdict.why)

    def _tick_for_ever(self) -> None:
        assert self._metronome is not None
        try:
            self._metronome.run()
        except BaseException as error:  # noqa: BLE001  raised again by `run`, in the main thread
            self.fail(error)

    def _publish(self, tick: Tick) -> None:
        self.last = tick
        if self.share is not None:
            self.share(tick, self._intent is not None and self._intent.desired == "Draining")
        for decision in tick.chosen.decisions:
            log.debug("decision", sentence=decision.sentence())

    def _stop(self, *, hand_back: bool) -> None:
        if self._metronome is not None and self._thread is not None:
            self._metronome.stop()
            self._thread.join()
        if self._rooms is not None:
            self._rooms.close(hand_back=hand_back)
            log.info("stopped", handed_back=hand_back)
        self._rooms, self._loop, self._metronome, self._thread, self.last = None, None, None, None, None


def _place_moved(before: NodeConfig, after: NodeConfig) -> bool:
    """What cannot change under loaded planes: the interfaces, their rates and the size of the flow table."""
    return (before.data_plane.interfaces, before.data_plane.max_flows, before.data_plane.mode) != (
        after.data_plane.interfaces,
        after.data_plane.max_flows,
        after.data_plane.mode,
    )
