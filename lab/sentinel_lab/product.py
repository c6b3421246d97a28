"""The product's own agent, as a process in the node's namespace; the lab only watches what it does there."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError

import yaml

from sentinel_api.errors import Transient
from sentinel_bpf import layout, pinned, pins
from sentinel_bpf.buffer.leaves import Leaves
from sentinel_bpf.buffer.plumbing import queue_device
from sentinel_bpf.buffer.port import CLASSES
from sentinel_bpf.buffer.wire import Rtnl
from sentinel_bpf.object import ABI_VERSION
from sentinel_bpf.probe import BPFFS
from sentinel_core.allocate import LIKELY
from sentinel_lab import seasoning
from sentinel_lab.configuration import configuration
from sentinel_lab.dataplane import OBJECT, remove_pins_of_the_dead
from sentinel_lab.history import Event, History, Tick
from sentinel_lab.namespaces import go_first
from sentinel_lab.scenario import MIB
from sentinel_lab.topology import NODE_DEVICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sentinel_lab.namespaces import Namespace
    from sentinel_lab.scenario import Scenario

READY_SECONDS = 120.0
END_SECONDS = 20.0
LOOK_SECONDS = 0.05  # twice a tick of the agent, so that no limit it sets is missed
STATE = "http://127.0.0.1:9466/debug/state"
STATE_SECONDS = 0.5


class AgentProcess:
    """Runs inside `with`; a thread of ours in the same namespace reads its pinned maps, its queue and its reasons."""

    def __init__(
        self,
        node: Namespace,
        scenario: Scenario,
        folder: Path,
        *,
        seasoned_in: Path | None = None,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`seasoned_in` is a folder that `seasoning.prepare` filled; without one it is the agent as it ships."""
        self.history = History()
        self._seasoned_in = seasoned_in
        self._node = node
        self._scenario = scenario
        self._config = folder / "agent.yaml"
        self._log = folder / "agent.log"
        self._settings = dict(settings or {})
        self._environment = dict(environment or {})
        self._name = f"lab-{os.getpid()}-{node.role}"
        self._process: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._watch, name="watch-agent", daemon=True)

    def __enter__(self) -> Self:
        remove_pins_of_the_dead()
        self._config.write_text(yaml.safe_dump(configuration(self._scenario) | self._settings))
        program = ("sentinel_lab.seasoned", str(self._seasoned_in)) if self._seasoned_in else ("sentinel_agent",)
        command = [sys.executable, "-m", *program, "--config", str(self._config)]
        with self._node.entered(), self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | {"SENTINEL_NODE_NAME": self._name} | self._environment,
                stderr=log,
                start_new_session=True,
            )
        go_first(self._process.pid)
        self._thread.start()
        try:
            self._ready.wait(READY_SECONDS)
            self.check()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._end()
        if kind is None:
            self.check()

    @property
    def name(self) -> str:
        """By which the mesh and the balancer know the node."""
        return self._name

    def begin(self, start_ns: int) -> None:
        """The first packet is due then."""
        if self._seasoned_in:
            seasoning.begin(self._seasoned_in, start_ns)

    def check(self) -> None:
        if self._failure:
            raise self._failure
        if not self._ready.is_set():
            raise Transient(f"the agent was not ready after {READY_SECONDS:g} s: {self._last_words()}")

    def _end(self) -> None:
        """SIGTERM hands everything back (onAgentExit); what that fails to remove goes with the namespace."""
        self._stop.set()
        self._thread.join()
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _watch(self) -> None:
        try:
            with self._node.entered():
                watcher = self._found()
                if watcher is None:
                    return
                self._ready.set()
                while not self._stop.wait(LOOK_SECONDS):
                    self._alive()
                    watcher.look(self.history)
        except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits for this one
            self._failure = failure
        finally:
            self._ready.set()

    def _found(self) -> Watcher | None:
        device = socket.if_nametoindex(NODE_DEVICE)
        while not self._stop.wait(LOOK_SECONDS):
            self._alive()
            if told := _state():
                self.history.beat_ns = told["monotonicNanos"]
                return Watcher(self._name, socket.if_nametoindex(queue_device(device)), self._scenario)
        return None

    def _alive(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            raise Transient(f"the agent ended with exit code {self._process.returncode}: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"


class Eye:
    """What the kernel of one node counts and holds, by class; reads, and belongs to the thread that made it."""

    def __init__(self, node_name: str, queue_index: int, classes: Iterable[int]) -> None:
        where = pins.folder(BPFFS / f"sentinel_{node_name}", f"agent_{NODE_DEVICE}", ABI_VERSION)
        with pinned.maps(OBJECT, where) as found:
            self._cells = found["sn_cells"].view()
            self._sojourn = found["sn_sojourn"].view()
        handles = layout.constants(OBJECT, "sn_queue_const")
        self._minor = handles["SN_QUEUE_MINOR"]
        self._leaves = Leaves(Rtnl(), handles["SN_QUEUE_MAJOR"])
        self._leaves.at(queue_index, frames_from=queue_index)
        self._classes = tuple(classes)

    def look(self) -> dict[int, Tick]:
        """Limits first and then what arrived: room that is seen beside no packet was there before it."""
        queued = self._leaves.read(self._minor + each for each in self._classes)
        cells = self._cells.reshape(-1, CLASSES)
        buckets = self._sojourn["bucket"].reshape(cells.shape[0], CLASSES, -1).sum(axis=0)
        now_ns = time.monotonic_ns()
        found = {}
        for each in self._classes:
            queue, mine = queued[self._minor + each], cells[:, each]
            found[each] = Tick(
                now_ns,
                queue.limit_bytes,
                queue.backlog_bytes,
                int(mine["packets"].sum()),
                int(mine["bytes"].sum()),
                queue.sent_bytes,
                queue.drops_low32 + int(mine["drops"].sum()),
                int(mine["lease_over"].sum()),
                tuple(buckets[each].tolist()),
            )
        return found


class Watcher:
    """What its node went through, into a history; belongs to the thread that made it."""

    def __init__(self, node_name: str, queue_index: int, scenario: Scenario) -> None:
        self._eye = Eye(node_name, queue_index, (each.id for each in scenario.classes))
        self._scenario = scenario
        self._said = -1

    def look(self, history: History) -> None:
        seen = self._eye.look()
        for each, tick in seen.items():
            history.add(each, tick)
        self._listen(history, time.monotonic_ns())

    def _listen(self, history: History, now_ns: int) -> None:
        """Decisions are the agent's own sentences, and so is when it expects a burst."""
        told = _state()
        if not told or told["seq"] == self._said:
            return
        self._said = told["seq"]
        history.beat_ns = told["monotonicNanos"]
        history.forecast = _outlook(told["classes"].get(self._scenario.bursty.name, {}))
        for sentence in told["decisions"]:
            subject, moved, _ = sentence.removeprefix("buffer of ").partition(" goes from ")
            if moved:
                ahead = told["classes"].get(subject, {})
                history.events.append(Event(now_ns, _foretold(sentence, subject, ahead) or sentence))


def _outlook(ahead: dict[str, Any]) -> str:
    chance = ahead.get("burstChance", 0.0)
    if chance < LIKELY:
        return "no burst expected"
    return f"a burst in {ahead['secondsToBurst']:.1f} s, chance {chance:.0%}"


def _foretold(sentence: str, subject: str, ahead: dict[str, Any]) -> str:
    """Empty unless the agent expects a burst; the sentence alone says nothing of when."""
    if "(forecast" not in sentence or ahead.get("burstChance", 0.0) < LIKELY:
        return ""
    room = ahead["limitBytes"] / MIB
    return f"burst of {subject} expected in {ahead['secondsToBurst']:.1f} s, room made: {room:.1f} MiB"


def _state() -> dict[str, Any]:
    try:
        with urllib.request.urlopen(STATE, timeout=STATE_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (URLError, TimeoutError, ConnectionError):
        return {}
