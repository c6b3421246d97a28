"""Members of a mesh in namespaces around a hub, as real processes, and what may befall them: kills, stops, cuts."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from sentinel_api.errors import Transient
from sentinel_lab.topology import End, Link, Route, Topology, built

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sentinel_lab.namespaces import Namespace

HUB = "hub"
PORT = 7447
PATIENCE_S = 120.0

T = TypeVar("T")


def star(size: int) -> Topology:
    """Places 1 to `size`, each behind a link of its own."""
    places = range(1, size + 1)
    return Topology(
        name=f"star-{size}",
        links=tuple(
            Link(End(HUB, f"to{place}", f"10.78.{place}.1/24"), End(f"n{place}", "toward", f"{address(place)}/24"))
            for place in places
        ),
        routes=tuple(Route(f"n{place}", "10.78.0.0/16", f"10.78.{place}.1") for place in places),
        routers=(HUB,),
    )


def address(place: int) -> str:
    return f"10.78.{place}.2"


def endpoint(place: int) -> str:
    return f"tcp/{address(place)}:{PORT}"


class Running:
    """A member at work; what it says is kept with its time."""

    def __init__(self, namespace: str, node: str, place: int, peers: tuple[int, ...]) -> None:
        self.node = node
        self._lines: list[dict[str, Any]] = []
        self._came = threading.Condition(threading.RLock())
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "sentinel_lab.bench.mesh_member", "--namespace", namespace, "--node", node,
                "--listen", endpoint(place), "--peers", ",".join(map(endpoint, peers)),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def level(self, node: str) -> str | None:
        """Which it believes of a node now."""
        said = self.levels(node)
        return said[-1][1] if said else None

    def levels(self, node: str) -> list[tuple[int, str]]:
        """Every change, and when."""
        with self._came:
            return [(line["at_ns"], line["level"]) for line in self._lines if line.get("node") == node]

    def until(self, node: str, level: str, since_ns: int = 0) -> int:
        """When it first believed so, from `since_ns` on; waits for it."""

        def found() -> int | None:
            at = [at_ns for at_ns, said in self.levels(node) if said == level and at_ns >= since_ns]
            return at[0] if at else None

        return self._wait(found, f"{self.node} should believe {node} {level}")

    def since(self, node: str, level: str) -> int:
        """Since when it believes so without a break; waits until it does."""

        def found() -> int | None:
            said = self.levels(node)
            return said[-1][0] if said and said[-1][1] == level else None

        return self._wait(found, f"{self.node} should believe {node} {level}")

    def up(self) -> None:
        self._wait(lambda: any("up" in line for line in self._lines) or None, f"{self.node} should join")

    def probes(self, **said: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(said) + "\n")
        self.process.stdin.flush()

    def end(self) -> dict[str, Any]:
        """Its last words; empty for one that was killed."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        return next((line for line in reversed(self._lines) if "sent" in line), {})

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                with self._came:
                    self._lines.append(json.loads(line))
                    self._came.notify_all()

    def _wait(self, look: Callable[[], T | None], what: str) -> T:
        deadline = time.monotonic() + PATIENCE_S
        with self._came:
            while (found := look()) is None:
                if not self._came.wait(max(deadline - time.monotonic(), 0.0)):
                    raise Transient(f"{what}, but did not within {PATIENCE_S:g} s: try again on a quieter machine")
        return found


class MeshLab:
    """Members come and go; each place holds one at a time."""

    def __init__(self, spaces: Mapping[str, Namespace], size: int) -> None:
        self._spaces = spaces
        self._size = size
        self._running: list[Running] = []
        # One process for all cuts: to start one anew takes long on a busy machine, and that would count as detection.
        self._knife = subprocess.Popen(
            ("ip", "netns", "exec", spaces[HUB].name, "nft", "--interactive"),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._nft("add table ip cut")
        self._nft("add set ip cut places { type ipv4_addr ; }")
        self._nft("add chain ip cut forward { type filter hook forward priority 0 ; }")
        self._nft("add chain ip cut weather { type filter hook forward priority 1 ; }")
        for side in ("saddr", "daddr"):
            self._nft(f"add rule ip cut forward ip {side} @places drop")

    def start(self, place: int, node: str = "") -> Running:
        member = self.launch(place, node)
        member.up()
        return member

    def launch(self, place: int, node: str = "") -> Running:
        """Without waiting until it is up."""
        member = Running(self._spaces[f"n{place}"].name, node or f"n{place}", place, tuple(range(1, self._size + 1)))
        self._running.append(member)
        return member

    def cut(self, place: int) -> None:
        """Packets from and to it vanish in the hub, both directions at once: no link goes down, and nobody is told."""
        self._nft(f"add element ip cut places {{ {address(place)} }}")

    def heal(self, place: int) -> None:
        self._nft(f"delete element ip cut places {{ {address(place)} }}")

    def lose(self, place: int, percent: int) -> None:
        """Of all packets to and from it; nothing any more with 0."""
        self._nft("flush chain ip cut weather")
        if percent:
            for side in ("saddr", "daddr"):
                self._nft(f"add rule ip cut weather ip {side} {address(place)} numgen random mod 100 < {percent} drop")

    def set_link(self, place: int, state: str) -> None:
        """Down or up at the hub's end; the member's end loses its carrier, not its address."""
        self._spaces[HUB].ip("link", "set", f"to{place}", state)

    def namespace(self, place: int) -> str:
        return self._spaces[f"n{place}"].name

    def bytes_through(self, place: int) -> int:
        """All that crossed the link of a place so far, in both directions, headers included."""
        shown = json.loads(self._spaces[HUB].ip("-json", "-statistics", "link", "show", f"to{place}"))
        return sum(int(shown[0]["stats64"][side]["bytes"]) for side in ("rx", "tx"))

    def answers(self, asker: int, place: int) -> bool:
        """Whether the node itself answers, agent or no agent: the second witness."""
        command = ("ip", "netns", "exec", self.namespace(asker), "ping", "-c", "1", "-W", "1", address(place))
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        for member in self._running:
            if member.process.poll() is None:
                member.process.kill()
            member.end()
        assert self._knife.stdin is not None
        self._knife.stdin.close()
        self._knife.wait(PATIENCE_S)

    def _nft(self, command: str) -> None:
        assert self._knife.stdin is not None
        self._knife.stdin.write(f"{command}\n")
        self._knife.stdin.flush()


@contextmanager
def mesh_lab(size: int) -> Iterator[MeshLab]:
    with built(star(size)) as spaces:
        lab = MeshLab(spaces, size)
        try:
            yield lab
        finally:
            lab.close()
