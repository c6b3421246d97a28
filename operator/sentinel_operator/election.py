"""One leader among the replicas: the client library's Lease election, and an exit when the Lease is lost.

A replica that lost its Lease must not go on deciding beside its successor; leaving the process is the one way to be
sure that nothing of it does.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import structlog
from kubernetes.aio.client import ApiClient, V1Lease, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

LEASE_S, RENEW_S, RETRY_S = 15, 10, 2
LEASE_NAME = "sentinel-operator"
LEASE_LOST_CODE = 3
UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)

log = structlog.get_logger()


class PatientLock(LeaseLock):  # type: ignore[misc]  # the library has no types
    """The library's lock, mended where version 37.0.2 breaks, and unmoved by a network that is away for a while."""

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Without `pretty=True`, which the library's own generated client refuses."""
        body = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        try:
            await self.api_instance.create_namespaced_lease(namespace, body)
        except (ApiException, *UNREACHABLE) as error:
            log.warning("lease_not_created", error=str(error))
            return False
        return True

    async def get(self, name: str, namespace: str) -> Any:
        """Only ApiException is understood by the caller; any other would end the process."""
        try:
            return await super().get(name, namespace)
        except UNREACHABLE as error:
            return False, ApiException(status=0, reason=str(error))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        try:
            return bool(await super().update(name, namespace, updated_record))
        except UNREACHABLE as error:
            log.warning("lease_not_renewed", error=str(error))
            return False


async def lead(api: ApiClient, namespace: str, identity: str, work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Waits to become leader, then runs `work` until it ends or the Lease is lost; answers the process's exit code."""
    worked: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def leading() -> None:
        log.info("lease_won", identity=identity)
        try:
            await work()
        except BaseException as error:
            if not worked.done():
                worked.set_exception(error)
            raise
        worked.set_result(None)

    async def stopped() -> None:
        log.error("lease_lost", identity=identity)

    lock = PatientLock(LEASE_NAME, namespace, identity, api)
    log.info("lease_wanted", identity=identity, namespace=namespace)
    election = asyncio.create_task(LeaderElection(Config(lock, LEASE_S, RENEW_S, RETRY_S, leading, stopped)).run())
    done, _ = await asyncio.wait({election, worked}, return_when=asyncio.FIRST_COMPLETED)
    if worked in done:
        election.cancel()
        await worked
        return 0
    await election
    return LEASE_LOST_CODE
