"""Many buffer nodes of a real API server, whose kubelets kwok plays, and the reports that their agents would write."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import ssl
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp

from sentinel_api.names import ROLE_BUFFER, ROLE_LABEL

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator
    from pathlib import Path

GROUP = "/apis/sentinel.io/v1alpha1"
CLUSTER = f"{GROUP}/namespaces/default/bufferclusters/front"
AT_ONCE = 24
WRITES = {"POST", "PUT", "PATCH", "APPLY", "DELETE"}
LABEL = re.compile(r'(\w+)="([^"]*)"')
KWOK_NODE = "kwok.x-k8s.io/node"
DIGEST = f"sha256:{'0' * 64}"


@dataclass(slots=True)
class Fleet:
    """An administrator's door to the API server, which plays all agents."""

    session: aiohttp.ClientSession
    url: str
    size: int
    demand: int
    seq: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    digest: str = DIGEST
    report_seconds: int = 10

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"node-{number:05}" for number in range(self.size))

    async def make_nodes(self) -> None:
        """Back when kwok's heartbeats have made all of them ready."""
        await all_of(self._make(name) for name in self.names)
        while await self._ready() < self.size:
            await asyncio.sleep(0.5)

    async def _ready(self) -> int:
        found = await self.ask("GET", "/api/v1/nodes?resourceVersion=0")
        return sum(
            each["type"] == "Ready" and each["status"] == "True"
            for node in found["items"]
            for each in node["status"].get("conditions", ())
        )

    async def make_cluster(self, capacity: int) -> None:
        body = {
            "apiVersion": "sentinel.io/v1alpha1",
            "kind": "BufferCluster",
            "metadata": {"name": "front"},
            "spec": {
                "nodes": self.size,
                "scaling": {"mode": "Recommend", "max": 5000, "nodeCapacityBytesPerSecond": capacity},
            },
        }
        await self.ask("POST", f"{GROUP}/namespaces/default/bufferclusters", body)

    async def report_all(self) -> None:
        await all_of(self.report(name) for name in self.names)

    async def report(self, name: str) -> None:
        """One status as an agent writes it; every report brings new amounts."""
        seq = next(self.seq)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        demand = self.demand + seq % 97
        points = [{"horizonSeconds": h, "p50": demand, "p95": demand} for h in (30, 60, 120, 300)]
        said = {
            "state": "Active",
            "configDigest": self.digest,
            "versions": {"agent": "0.1.0", "kernel": "6.18.0"},
            "dataPlane": {"tier": "B", "reason": "Htb"},
            "forecast": {"seq": seq, "observedAt": now, "demandBytesPerSecond": demand, "points": points},
            "buffer": {"poolBytes": 10_485_760, "grantedBytes": demand % 10_485_760, "heldBytes": seq},
            "scores": {"hits": seq % 1000, "precisionPercent": 90, "trusted": True},
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Ticking", "lastTransitionTime": "2030-01-01T00:00:00Z"}
            ],
        }
        await self.ask("PATCH", f"{GROUP}/buffernodes/{name}/status", {"status": said})

    async def status(self) -> dict[str, Any]:
        found = await self.ask("GET", CLUSTER)
        status = found.get("status", {})
        assert isinstance(status, dict)
        return status

    async def orders(self) -> int:
        """How many BufferNodes there are; the list itself would cost the API server what it must not cost us."""
        found = await self.ask("GET", f"{GROUP}/buffernodes?limit=1")
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))

    async def learn_orders(self) -> None:
        found = await self.ask("GET", f"{GROUP}/buffernodes/{self.names[0]}")
        self.digest, self.report_seconds = found["spec"]["configDigest"], found["spec"]["reportSeconds"]

    async def writes(self) -> int:
        """Requests that changed something, of agents and operator, since the API server started. Kubelets, which kwok
        plays, write Leases and the status of their Nodes; the operator's own Lease (one in two seconds) goes with them.
        """
        async with self.session.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        counted = (line for line in lines if line.startswith("apiserver_request_total{"))
        return sum(int(float(line.rpartition(" ")[2])) for line in counted if _counts(line))

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        async with self.session.request(method, self.url + path, json=body, headers={"Content-Type": kind}) as answer:
            found = await answer.json()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {found.get('message')}")
            assert isinstance(found, dict)
            return found

    async def _make(self, name: str) -> None:
        labels = {ROLE_LABEL: ROLE_BUFFER, "topology.kubernetes.io/zone": f"zone-{name[-1]}"}
        meta = {"name": name, "labels": labels, "annotations": {KWOK_NODE: "fake"}}
        await self.ask("POST", "/api/v1/nodes", {"metadata": meta})


@contextlib.contextmanager
def kubelets(kwok: str, kubeconfig: str, log: Path, size: int = 1) -> Iterator[None]:
    """kwok plays them. A real kubelet renews its Lease four times as often, and with more than a thousand of them these
    do so more seldom still: 25 a second. That is the API server's burden alone."""
    lease_s = 160 * max(1, size // 1000)
    argv = [kwok, f"--kubeconfig={kubeconfig}", f"--manage-nodes-with-annotation-selector={KWOK_NODE}=fake"]
    argv += ["--server-address=127.0.0.1:0", f"--node-lease-duration-seconds={lease_s}"]
    with log.open("ab") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def all_of(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """A bounded number at once: the API server is to be used, not to be overrun."""
    places = asyncio.Semaphore(AT_ONCE)

    async def placed(each: Coroutine[Any, Any, None]) -> None:
        async with places:
            await each

    await asyncio.gather(*(placed(each) for each in work))


def session(token: str, ca: str) -> aiohttp.ClientSession:
    trusted = ssl.create_default_context(cafile=ca)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted, limit=AT_ONCE), headers={"Authorization": f"Bearer {token}"}
    )


def _counts(line: str) -> bool:
    labels = dict(LABEL.findall(line))
    kubelets_own = labels["resource"] == "leases" or (labels["resource"], labels["subresource"]) == ("nodes", "status")
    return labels["verb"] in WRITES and not kubelets_own
