"""Agents as processes in a node's namespace: started, asked, hurt and handed back; and a wrapper that hurts one from
within, at a step of its tick."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import yaml

from sentinel_bpf import pinned, pins
from sentinel_bpf.object import ABI_VERSION
from sentinel_bpf.probe import BPFFS
from sentinel_lab.dataplane import OBJECT, remove_pins
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE

if TYPE_CHECKING:
    from pathlib import Path

PORT = 9001
RATE_BITS = 80_000_000
START_S = 300.0  # only ends a hang
ANSWER_S = 60.0  # a busy machine keeps a living agent waiting for seconds; who is not there refuses at once
LEASE_S = 0.5
CONFIG: dict[str, Any] = {
    "trafficClasses": [{"name": "bulk", "match": [{"protocol": "UDP", "port": PORT}]}],
    "dataPlane": {"interfaces": [{"name": NODE_DEVICE, "rateBitsPerSecond": RATE_BITS}]},
}
PRODUCT = ("-m", "sentinel_agent")


def queue_device() -> str:
    """Of the one interface whose incoming packets are queued in this namespace."""
    (name,) = [line.split(":")[1].strip() for line in run("ip", "-o", "link").splitlines() if "sn-ifb" in line]
    return name


class Agent:
    """Starts and asks agents in the namespace that this thread is in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"test-{os.getpid()}"
        self.running: list[subprocess.Popen[bytes]] = []
        self.log = folder / "agent.log"

    def start(self, config=None, wait: bool = True, program=PRODUCT, **env: str) -> subprocess.Popen[bytes]:
        path = self.folder / "agent.yaml"
        path.write_text(yaml.safe_dump(config or CONFIG))
        return self.started((*program, "--config", str(path)), wait, **env)

    def started(self, program: tuple[str, ...], wait: bool = True, **env: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *program],
                env=self.env | env,
                stderr=log,
                stdout=log,
            )
        self.running.append(process)
        if wait:
            self.until(lambda: bool(self.state()), "the agent ticks", process)
        return process

    def until(self, true, what: str, process: subprocess.Popen[bytes] | None = None) -> None:
        """The deadline only ends a hang."""
        deadline = time.monotonic() + START_S
        while not true():
            assert process is None or process.poll() is None, f"the agent ended: {self.said()[-1:]}"
            assert time.monotonic() < deadline, f"waited {START_S:g} s in vain: {what}; {self.said()[-3:]}"
            time.sleep(0.2)

    def seconds_until(self, true, what: str) -> float:
        began = time.monotonic()
        self.until(true, what)
        return time.monotonic() - began

    def said(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.is_file() else []

    def detach(self) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, *PRODUCT, "--config", str(self.folder / "agent.yaml"), "detach"]
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, check=True)

    def end_all(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()

    def forget(self) -> None:
        """Its pins; programs and queues go with the namespace. `detach` is the product's own way, and a process."""
        if (root := BPFFS / f"sentinel_{self.name}").exists():
            remove_pins(root)

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {"SENTINEL_NODE_NAME": self.name}

    def state(self) -> dict[str, Any]:
        return self._asked("http://127.0.0.1:9466/debug/state", json.loads) or {}

    def ticks(self) -> list[list[int]]:
        """Number, nanoseconds by stage, and those on a CPU, of the last ticks."""
        return (self._asked("http://127.0.0.1:9466/debug/ticks", json.loads) or {"rows": []})["rows"]

    def ticked_on(self, count: int = 5) -> None:
        """So many more ticks are answered."""
        self.until(lambda: bool(self.state()), "the agent answers")
        seq = self.state()["seq"]
        self.until(lambda: self.state().get("seq", 0) >= seq + count, "it ticks")

    def unordered(self) -> int:
        """Packets that met no live order and passed the queue by, as the kernel counts them whoever is alive."""
        where = pins.folder(BPFFS / f"sentinel_{self.name}", f"agent_{NODE_DEVICE}", ABI_VERSION)
        with pinned.maps(OBJECT, where) as found:
            return int(found["sn_cells"].view()["lease_over"].sum())

    def counted(self, metric: str = "sentinel_class_packets_total", label: str = 'class="bulk"') -> float:
        """Of the samples with this label, the sum."""
        text = self._asked("http://127.0.0.1:9465/metrics", bytes.decode) or ""
        mine = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == metric and label in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in mine)

    def failed(self) -> float:
        return self.counted("sentinel_ticks_failed_total", "")

    def _asked(self, url: str, read):
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
                return read(answer.read())
        except (OSError, HTTPException):  # nobody is there, or ended in the middle of its answer
            return None
