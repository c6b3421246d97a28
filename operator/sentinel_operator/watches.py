"""The watches of nodes, of their orders and of endpoints, of which there are thousands: no event makes a task.

kopf watches the kinds that are few. It gives each object a task and a queue, and each event a state of its own and
copies for handlers that nobody has here: many times the work that is done with the event.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from sentinel_api.errors import SentinelError
from sentinel_api.names import API_VERSION
from sentinel_operator.cluster import Cluster, Expired
from sentinel_operator.due import retry_after_s
from sentinel_operator.handlers import LAST_RETRY_S, Told
from sentinel_operator.mirror import Shelf, version_of
from sentinel_operator.objects import Manifest
from sentinel_operator.observe import settle

BOOKMARK = "BOOKMARK"
DISCOVERY = "discovery.k8s.io/v1"
Tell = Callable[[str | None, Manifest], None]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Watches:
    """They begin where the worker's first list ended."""

    api: Cluster
    told: Told

    async def run(self) -> None:
        mirror = self.told.mirror
        await mirror.filled.wait()
        async with asyncio.TaskGroup() as all_of_them:
            all_of_them.create_task(self._follow("v1", "Node", mirror.nodes, self.told.node))
            all_of_them.create_task(self._follow(API_VERSION, "BufferNode", mirror.buffer_nodes, self.told.order))
            all_of_them.create_task(self._follow(DISCOVERY, "EndpointSlice", None, self.told.endpoints))

    async def _follow(self, api_version: str, kind: str, shelf: Shelf[Any] | None, tell: Tell) -> None:
        """For ever. A watch goes on after the last thing it said, so whatever ends it loses nothing."""
        since = None if shelf is None else shelf.version
        failures = 0
        while True:
            try:
                if since is None:
                    since = await self._listed(api_version, kind, shelf)
                    if failures:  # what was said meanwhile nobody heard, so everything that changed calls everybody
                        self.told.everyone()
                async for event, manifest in self.api.events(api_version, kind, since):
                    since, failures = version_of(manifest), 0
                    if event != BOOKMARK:
                        tell(event, manifest)
            except SentinelError as error:
                failures += 1
                since = None if isinstance(error, Expired) else since
                log.warning("watch_failed", kind=kind, error=str(error))
            await asyncio.sleep(retry_after_s(max(failures, 1), LAST_RETRY_S))

    async def _listed(self, api_version: str, kind: str, shelf: Shelf[Any] | None) -> int:
        """Of which version all of a kind is now; of what is not kept the first objects tell it."""
        if shelf is not None:
            return await settle(self.api, shelf, api_version, kind)
        async for _, version in self.api.pages(api_version, kind):
            return version
        return 0
