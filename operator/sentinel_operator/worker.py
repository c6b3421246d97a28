"""One look at one cluster, and the worker that takes them in turn; a lost event costs one resync, no wrong state."""

import asyncio
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter

from sentinel_api.errors import Invalid, SentinelError
from sentinel_api.names import API_VERSION
from sentinel_operator import act
from sentinel_operator.cluster import Cluster
from sentinel_operator.decide.plan import Plan, plan
from sentinel_operator.decide.status import status
from sentinel_operator.due import ClusterName, Due
from sentinel_operator.observe import observe
from sentinel_operator.render.daemonset import Release

RESYNC_S = 120.0
LOOK_AGAIN_S = 5.0  # while agents start or detach: their pods' readiness raises no event of ours

LOOKS = Counter("sentinel_operator_looks", "Looks at a cluster, by how they ended.", ["outcome"])
log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    api: Cluster
    release: Release
    due: Due
    _timers: dict[ClusterName, asyncio.TimerHandle] = field(default_factory=dict)

    async def run(self) -> None:
        """Marks every cluster anew at each resync, so that nothing rests on an event."""
        resync = asyncio.create_task(self._resync())
        try:
            while True:
                await self.look(await self.due.take())
        finally:
            resync.cancel()

    async def look(self, name: ClusterName) -> None:
        try:
            again_s = await reconcile(self.api, name, self.release)
        except SentinelError as error:
            again_s = self.due.failed(name)
            LOOKS.labels(type(error).__name__).inc()
            log.warning("look_failed", cluster=f"{name.namespace}/{name.name}", error=str(error), again_s=again_s)
        else:
            self.due.succeeded(name)
            LOOKS.labels("ok").inc()
        self._again(name, again_s)

    def _again(self, name: ClusterName, after_s: float | None) -> None:
        waiting = self._timers.pop(name, None)
        if waiting is not None:
            waiting.cancel()
        if after_s is not None:
            self._timers[name] = asyncio.get_running_loop().call_later(after_s, self.due.mark, name)

    async def _resync(self) -> None:
        while True:
            try:
                for stored in await self.api.list(API_VERSION, "BufferCluster"):
                    meta = stored["metadata"]
                    self.due.mark(ClusterName(meta["namespace"], meta["name"]))
            except SentinelError as error:
                log.warning("resync_failed", error=str(error))
            await asyncio.sleep(RESYNC_S)


async def reconcile(api: Cluster, name: ClusterName, release: Release) -> float | None:
    """Observe, decide, act, report; answers when to look again even if no event comes."""
    world = await observe(api, name, release)
    if world is None:
        return None
    todo = plan(world)
    if not todo.empty:
        log.info("plan", cluster=world.owner.label, **_summary(todo))
    outcome, error = await act.carry_out(api, world, todo)
    if todo.finalizer != "release":
        await act.publish(api, world.cluster, status(world, todo, outcome))
    if error is not None and not isinstance(error, Invalid):
        raise error
    settled = todo.empty and not todo.blocked and world.agents.ready == world.agents.desired
    return None if settled else LOOK_AGAIN_S


def _summary(todo: Plan) -> dict[str, object]:
    return {
        "finalizer": todo.finalizer,
        "apply": [f"{m['kind']}/{m['metadata']['name']}" for m in todo.apply],
        "relabel": [f"{change.node}={change.value}" for change in todo.relabel],
        "delete": [str(at) for at in todo.delete],
    }
