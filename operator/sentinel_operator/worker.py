"""One look at one cluster, and the worker that takes them in turn; a lost event costs one resync, no wrong state."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter

from sentinel_api.errors import SentinelError, Transient
from sentinel_api.names import API_VERSION
from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus, ScalingStatus
from sentinel_operator import act, metrics, services
from sentinel_operator.authority import Authority
from sentinel_operator.cluster import Cluster
from sentinel_operator.decide import autoscale
from sentinel_operator.decide.autoscale import Thought
from sentinel_operator.decide.changes import changes
from sentinel_operator.decide.newcomers import Newcomers
from sentinel_operator.decide.plan import Plan, plan
from sentinel_operator.decide.status import Addresses, status
from sentinel_operator.decide.world import World
from sentinel_operator.due import LAST_TRANSIENT_RETRY_S, ClusterName, Due, retry_after_s
from sentinel_operator.mirror import Mirror
from sentinel_operator.observe import observe, refresh
from sentinel_operator.predict import Memory, predict, remembered
from sentinel_operator.refusals import Refusals
from sentinel_operator.render import balancers
from sentinel_operator.render.base import Release

if TYPE_CHECKING:  # the mesh's engine is loaded where there is a mesh
    from sentinel_operator.mesh import Ear

RESYNC_S = 120.0
LOOK_AGAIN_S = 5.0  # while agents start or detach: their pods' readiness raises no event of ours

REST_S = 1.0  # between two looks at a cluster, whatever moves: a roll-out of a thousand agents is no storm
UNSCALED_LOOK_S = 30.0  # where no decision comes round, coverage must be counted anew all the same
DOUBT_S = 30.0  # reports that look stale may be a watch that stalled: a list not older than this tells

LOOKS = Counter("sentinel_operator_looks", "Looks at a cluster, by how they ended.", ["outcome"])
log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    api: Cluster
    release: Release
    due: Due
    mirror: Mirror
    ear: "Ear | None" = None  # None without a mesh
    authority: Authority | None = None  # None where the mesh speaks in the clear
    _memories: dict[ClusterName, Memory] = field(default_factory=dict)
    _refusals: dict[ClusterName, Refusals] = field(default_factory=dict)
    _newcomers: dict[ClusterName, Newcomers] = field(default_factory=dict)
    _timers: dict[ClusterName, asyncio.TimerHandle] = field(default_factory=dict)

    async def run(self) -> None:
        """Marks every cluster anew at each resync, so that nothing rests on an event."""
        resync = asyncio.create_task(self._resync())
        try:
            while True:
                name = await self.due.take()
                if self.mirror.listed_at_s is not None:  # else the first list marks every cluster when it is there
                    await self.look(name)
        finally:
            resync.cancel()

    async def look(self, name: ClusterName) -> None:
        try:
            again_s = await self.reconcile(name)
        except SentinelError as error:
            again_s = self.due.failed(name, transient=isinstance(error, Transient))
            LOOKS.labels(type(error).__name__).inc()
            log.warning("look_failed", cluster=f"{name.namespace}/{name.name}", error=str(error), again_s=again_s)
            self.due.rest(name, again_s)
        except Exception as error:  # a fault of ours with one cluster must not keep us from all others
            again_s = self.due.failed(name, transient=False)
            LOOKS.labels("Broken").inc()
            log.error("look_broke", cluster=f"{name.namespace}/{name.name}", again_s=again_s, exc_info=error)
            self.due.rest(name, again_s)
        else:
            self.due.succeeded(name)
            LOOKS.labels("Invalid" if name in self._refusals and self._refusals[name].told else "ok").inc()
            self.due.rest(name, REST_S)
        self._again(name, again_s)

    async def reconcile(self, name: ClusterName) -> float | None:
        """Observe, predict, decide, act, report; answers when to look again even if no event comes."""
        began_s = asyncio.get_running_loop().time()
        world = await observe(self.api, self.mirror, name, self._release())
        if world is None:
            self._memories.pop(name, None)
            self._refusals.pop(name, None)
            self._newcomers.pop(name, None)
            if self.ear is not None:
                self.ear.forget(name)
            metrics.forget(name)
            return None
        if self.ear is not None:
            world = replace(world, served=self.ear.served(name))
        before = world.cluster.status or BufferClusterStatus()
        world, thought = await self._think(name, world)
        todo = plan(world)
        if not todo.empty:
            log.info("plan", cluster=world.owner.label, **_summary(todo))
        await self._give_up(world)
        outcome, error = await act.carry_out(self.api, world, todo, self._refusals.setdefault(name, Refusals()))
        served, join_s = await self._serve(name, world) if error is None and not todo.blocked else (None, None)
        if todo.finalizer != "release":
            said = status(world, todo, outcome, thought, served)
            await act.publish(self.api, world.cluster, said)
            await act.unmark(self.api, todo.arrived)
            await act.announce(self.api, world.cluster, changes(before, said, world.now))
        if error is not None:
            raise error
        changing = todo.rollout is not None and todo.rollout.phase not in ("Done", "Held")
        parting = not balancers.wanted(world.cluster.spec) and world.balancers.desired
        waiting = todo.blocked or changing or parting or world.agents.ready != world.agents.desired
        settled = todo.empty and not waiting
        took_s = asyncio.get_running_loop().time() - began_s
        decision_s = autoscale.next_in_s(world, datetime.now(UTC), took_s) if thought else autoscale.due_in_s(world)
        next_s = UNSCALED_LOOK_S if decision_s is None else decision_s
        next_s = next_s if join_s is None else min(next_s, join_s)
        return next_s if settled else min(LOOK_AGAIN_S, next_s)

    async def _serve(self, name: ClusterName, world: World) -> tuple[Addresses | None, float | None]:
        """Services of our class, None where there is nothing to give away; and when to look again for their sake."""
        if world.cluster.metadata.deletion_timestamp is not None or not balancers.wanted(world.cluster.spec):
            return None, None
        newcomers = self._newcomers.setdefault(name, Newcomers())
        found = await services.serve(self.api, world, tuple(self.mirror.services), newcomers)
        refusals = sorted(f"{key.namespace}/{key.name}: {answer.message}" for key, answer in found.refused.items())
        return Addresses(found.served, refusals[0] if refusals else ""), found.again_s

    async def _give_up(self, world: World) -> None:
        """A Service that cannot be told holds nothing up: it may be gone itself."""
        spec, going = world.cluster.spec, world.cluster.metadata.deletion_timestamp is not None
        if spec.paused or (spec.deletion_policy == "Orphan" if going else balancers.wanted(spec)):
            return
        try:
            await services.give_up(self.api, world, tuple(self.mirror.services))
        except SentinelError as error:
            log.warning("services_untold", cluster=world.owner.label, error=str(error))

    async def _think(self, name: ClusterName, world: World) -> tuple[World, Thought | None]:
        """A decision when one is due; one that moves nodes is in the status before this returns."""
        if autoscale.due_in_s(world) != 0:
            return world, None
        if self.ear is not None:
            heard = await self.ear.heard(world.owner, len(world.own_nodes), world.now)
            world = replace(world, heard=heard)
        demand, memory = predict(world, self._memories.get(name) or remembered(world))
        if demand.coverage_percent < world.cluster.spec.scaling.coverage.min_percent and await self._doubted():
            return await self._think(name, replace(world, buffer_nodes=tuple(self.mirror.buffer_nodes)))
        thought = autoscale.consider(world, demand)
        before = world.cluster.status.scaling if world.cluster.status else ScalingStatus()
        if thought.commits:
            world = await act.commit(self.api, world, thought.status)
            log.info("scaling_decided", cluster=world.owner.label, **_told(thought))
        self._memories[name] = memory
        metrics.tell(name, before, thought)
        return world, thought

    def _release(self) -> Release:
        """With the authority as it is now: it may be renewed while we run."""
        return replace(self.release, mesh_trust=self.authority.trust()) if self.authority else self.release

    async def _doubted(self) -> bool:
        """Whether the mirror was old enough to be filled anew."""
        now_s = asyncio.get_running_loop().time()
        if self.mirror.listed_at_s is not None and now_s - self.mirror.listed_at_s < DOUBT_S:
            return False
        await self._refresh()
        return True

    async def _refresh(self) -> None:
        await refresh(self.api, self.mirror)
        self.mirror.listed_at_s = asyncio.get_running_loop().time()
        self.mirror.filled.set()

    def _again(self, name: ClusterName, after_s: float | None) -> None:
        waiting = self._timers.pop(name, None)
        if waiting is not None:
            waiting.cancel()
        if after_s is not None:
            self._timers[name] = asyncio.get_running_loop().call_later(after_s, self.due.mark, name)

    async def _resync(self) -> None:
        failures = 0
        while True:
            try:
                await self._refresh()
                clusters = await self.api.list(API_VERSION, "BufferCluster")
                self.mirror.known.set()
                for stored in clusters:
                    self.mirror.asks_anew(stored)
                    meta = stored["metadata"]
                    self.due.mark(ClusterName(meta["namespace"], meta["name"]))
            except SentinelError as error:
                failures += 1
                log.warning("resync_failed", error=str(error))
                await asyncio.sleep(retry_after_s(failures, LAST_TRANSIENT_RETRY_S))
            else:
                failures = 0
                await asyncio.sleep(RESYNC_S)


def _summary(todo: Plan) -> dict[str, object]:
    return {
        "finalizer": todo.finalizer,
        "nodes": todo.nodes,
        "replicas": todo.replicas,
        "roles": [f"{change.node}={change.role}" for change in todo.roles],
        "apply": [f"{m['kind']}/{m['metadata']['name']}" for m in todo.apply],
        "relabel": [f"{change.node}={change.value}" for change in todo.relabel],
        "delete": [str(at) for at in todo.delete],
    }


def _told(thought: Thought) -> dict[str, object]:
    verdict = thought.verdict
    return {
        "target": verdict.target,
        "required": verdict.required,
        "reactive": verdict.reactive,
        "reason": verdict.reason,
        "limited": verdict.limited,
    }
