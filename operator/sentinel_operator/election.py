"""One leader among the replicas: the client library's Lease election, and an exit when the Lease is lost.

A replica that lost its Lease must not go on deciding beside its successor; leaving the process is the one way to be
sure that nothing of it does. One that is told to end gives the Lease back, once nothing of it decides any more: the
next one need not wait until it has run out. The library asks for the time only between two requests, and gives none
of them an end: what it must not outlive is watched here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
import structlog
from kubernetes.aio.client import ApiClient, V1Lease, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock
from prometheus_client import Gauge

from sentinel_api.errors import SentinelError

LEASE_S, RENEW_S, RETRY_S = 15, 10, 2
ANSWER_S = 6.0  # more than a slow server takes; after one answer that never comes there is time for another try
MARGIN_S = 1.0  # to stop in, before another one may lead
STOP_S = 5.0  # for what decides, once it was told to end
LEASE_NAME = "sentinel-operator"
LEASE_LOST_CODE = 3
LEADING = Gauge("sentinel_operator_leading", "1 while this replica holds the Lease and decides.")
UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)

log = structlog.get_logger()


class Stuck(SentinelError):
    """Work ended, and left something behind that may still decide: its Lease must run out."""


class PatientLock(LeaseLock):  # type: ignore[misc]  # the library has no types
    """The library's lock, mended where version 37.0.2 breaks, and unmoved by a network that is slow or away.

    While the Lease is ours it is not read before each renewal: a write is refused anyway when somebody else wrote, and
    with five seconds a request a reading holder would be late for himself.
    """

    ours: LeaderElectionRecord | None = None
    valid_until_s: float = 0.0  # on the clock of the event loop; nobody else can lead before

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Without `pretty=True`, which the library's own generated client refuses."""
        body = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await self._written(self.api_instance.create_namespaced_lease(namespace, body))

    async def get(self, name: str, namespace: str) -> Any:
        """Only ApiException is understood by the caller; any other would end the process."""
        if self.ours is not None:
            return True, self.ours
        try:
            async with asyncio.timeout(ANSWER_S):
                return await super().get(name, namespace)
        except UNREACHABLE as error:
            return False, ApiException(status=0, reason=str(error) or "no answer")

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        lease = self.lease_reference
        assert lease is not None, "the library reads before it writes"
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await self._written(self.api_instance.replace_namespaced_lease(name, namespace, lease))

    async def _written(self, request: Awaitable[V1Lease]) -> bool:
        """Others count from when they see it, which is after it was sent. Whether an answer that never came was a yes,
        the next write tells: it is refused then."""
        asked_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(ANSWER_S):
                self.lease_reference = await request
        except ApiException as error:
            self.ours = None
            log.warning("lease_refused", error=str(error))
            return False
        except UNREACHABLE as error:
            log.warning("lease_not_written", error=str(error) or "no answer")
            return False
        self.ours = self.election_record(self.lease_reference)
        self.valid_until_s = asked_s + LEASE_S
        return True

    async def give_back(self) -> None:
        """To whoever asks first. Left as it is where it may be another's by now, or nobody answers: it runs out."""
        lease = self.lease_reference
        left_s = self.valid_until_s - MARGIN_S - asyncio.get_running_loop().time()
        if self.ours is None or lease is None or left_s <= 0:
            return
        lease.spec.holder_identity = None
        try:
            async with asyncio.timeout(min(ANSWER_S, left_s)):
                await self.api_instance.replace_namespaced_lease(self.name, self.namespace, lease)
        except (ApiException, *UNREACHABLE) as error:
            log.warning("lease_not_given_back", error=str(error) or "no answer")
            return
        log.info("lease_given_back", identity=self.identity)

    async def lapsed(self) -> None:
        """Returns when the Lease was not renewed in time, whatever the renewal is waiting for."""
        while (left_s := self.valid_until_s - MARGIN_S - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left_s)


async def lead(api: ApiClient, namespace: str, identity: str, work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Waits to become leader, then runs `work` until it ends, the Lease is lost or this is cancelled; answers the
    process's exit code."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    lock = PatientLock(LEASE_NAME, namespace, identity, api)
    running: list[asyncio.Task[Any]] = []

    async def leading() -> None:
        if ended.done():
            return
        log.info("lease_won", identity=identity)
        LEADING.set(1)
        working, lapsed = asyncio.create_task(work()), asyncio.create_task(lock.lapsed())
        running.extend((working, lapsed))
        await asyncio.wait({working, lapsed}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return
        if not working.done():
            log.error("lease_lost", identity=identity)
            ended.set_result(LEASE_LOST_CODE)
        elif not working.cancelled() and (error := working.exception()) is not None:
            ended.set_exception(error)
        else:
            ended.set_result(0)

    log.info("lease_wanted", identity=identity, namespace=namespace)
    election = asyncio.create_task(LeaderElection(Config(lock, LEASE_S, RENEW_S, RETRY_S, leading, None)).run())
    running.append(election)
    try:
        done, _ = await asyncio.wait({election, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended in done:
            return await ended
        await election
        log.error("lease_lost", identity=identity)
        return LEASE_LOST_CODE
    finally:
        LEADING.set(0)
        ended.cancel()
        for each in running:
            each.cancel()
        over, left = await asyncio.wait(running, timeout=STOP_S)
        if not left and not any(not each.cancelled() and isinstance(each.exception(), Stuck) for each in over):
            await lock.give_back()
