"""Many buffer nodes as plain objects of a real API server, and the reports that their agents would write."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp

from sentinel_api.names import ROLE_BUFFER, ROLE_LABEL

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

GROUP = "/apis/sentinel.io/v1alpha1"
CLUSTER = f"{GROUP}/namespaces/default/bufferclusters/front"
AT_ONCE = 24
WRITES = {"POST", "PUT", "PATCH", "APPLY", "DELETE"}
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

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"node-{number:05}" for number in range(self.size))

    async def make_nodes(self) -> None:
        await all_of(self._make(name) for name in self.names)

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

    async def learn_digest(self) -> None:
        found = await self.ask("GET", f"{GROUP}/buffernodes/{self.names[0]}")
        self.digest = found["spec"]["configDigest"]

    async def writes(self) -> int:
        """Requests that changed something, of everybody, since the API server started."""
        async with self.session.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        counted = (line for line in lines if line.startswith("apiserver_request_total{"))
        return sum(int(float(line.rpartition(" ")[2])) for line in counted if _verb(line) in WRITES)

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
        ready = {"type": "Ready", "status": "True", "reason": "Bench", "message": ""}
        body = {"metadata": {"name": name, "labels": labels}, "status": {"conditions": [ready]}}
        await self.ask("POST", "/api/v1/nodes", body)


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


def _verb(line: str) -> str:
    return line.partition('verb="')[2].partition('"')[0]
