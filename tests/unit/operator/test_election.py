"""A leader that cannot renew its Lease stops in time, whatever the renewal is waiting for."""

import asyncio

import pytest
from kubernetes.aio.client import V1Lease
from kubernetes.aio.client.exceptions import ApiException

from sentinel_operator import election
from sentinel_operator.election import LEASE_LOST_CODE, LEASE_S, PatientLock, lead


class Leases:
    """The one call of the API that each method stands for; `deaf` takes requests and answers none."""

    def __init__(self) -> None:
        self.stored: V1Lease | None = None
        self.deaf = False
        self.asked: list[str] = []

    async def read_namespaced_lease(self, *_: str) -> V1Lease:
        await self._heard("read")
        if self.stored is None:
            missing = ApiException(status=404, reason="Not Found")
            missing.body = '{"code": 404}'
            raise missing
        return self.stored

    async def create_namespaced_lease(self, _: str, body: V1Lease) -> V1Lease:
        await self._heard("create")
        self.stored = body
        return body

    async def replace_namespaced_lease(self, _name: str, _namespace: str, body: V1Lease) -> V1Lease:
        await self._heard("replace")
        self.stored = body
        return body

    async def _heard(self, what: str) -> None:
        self.asked.append(what)
        if self.deaf:
            await asyncio.Event().wait()


@pytest.fixture
def leases(monkeypatch):
    known = Leases()

    def lock(name, namespace, identity, api):
        made = PatientLock(name, namespace, identity, api)
        made.api_instance = known
        return made

    monkeypatch.setattr(election, "PatientLock", lock)
    monkeypatch.setattr(election, "RETRY_S", 1)
    return known


def test_it_stops_though_the_renewal_is_never_answered(leases, monkeypatch):
    monkeypatch.setattr(election, "MARGIN_S", LEASE_S - 1.3)
    stopped = []

    async def work() -> None:
        leases.deaf = True
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("work")

    async def both() -> int:
        code = await lead(None, "ns", "me", work)
        await asyncio.sleep(0)
        return code

    assert asyncio.run(both()) == LEASE_LOST_CODE
    assert leases.asked[:3] == ["read", "create", "replace"]
    assert stopped == ["work"]


def test_a_holder_renews_without_reading_first_and_reads_again_after_a_refusal(leases):
    async def renewed() -> None:
        lock = election.PatientLock("lease", "ns", "me", None)
        record = election.LeaderElectionRecord("me", "15", "2030-01-01 00:00:00.1", "2030-01-01 00:00:00.1")
        assert await lock.create("lease", "ns", record)
        assert (await lock.get("lease", "ns"))[1].holder_identity == "me"
        assert await lock.update("lease", "ns", record)

        async def refused(*_: object) -> V1Lease:
            raise ApiException(status=409, reason="Conflict")

        leases.replace_namespaced_lease = refused
        assert not await lock.update("lease", "ns", record)
        await lock.get("lease", "ns")

    asyncio.run(renewed())
    assert leases.asked == ["create", "replace", "read"]


def test_what_the_work_ends_with_is_what_the_process_ends_with(leases):
    async def done() -> None:
        assert election.LEADING._value.get() == 1, "who decides says so"

    async def broken() -> None:
        raise ValueError("a bug")

    assert asyncio.run(lead(None, "ns", "me", done)) == 0
    assert election.LEADING._value.get() == 0
    leases.stored = None
    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(lead(None, "ns", "me", broken))
