"""A leader that cannot renew its Lease stops in time, whatever the renewal is waiting for."""

import asyncio

import pytest
from kubernetes.aio.client import V1Lease
from kubernetes.aio.client.exceptions import ApiException

from sentinel_operator import election
from sentinel_operator.__main__ import first_of
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


def test_who_ends_gives_the_lease_back_once_nothing_of_it_decides(leases):
    """And the next one leads when it asks next, and not fifteen seconds later."""
    seen = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)
            seen.append(leases.stored.spec.holder_identity)

    async def told_to_end() -> None:
        task = asyncio.create_task(lead(None, "ns", "me", endless))
        while leases.stored is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def done() -> None:
        seen.append(leases.stored.spec.holder_identity)

    asyncio.run(told_to_end())
    assert (seen, leases.stored.spec.holder_identity) == (["me"], None)
    begun = len(leases.asked)
    assert asyncio.run(lead(None, "ns", "another", done)) == 0
    assert leases.asked[begun : begun + 2] == ["read", "replace"]
    assert seen == ["me", "another"]


def test_what_does_not_end_keeps_the_lease_until_it_has_run_out(leases, monkeypatch):
    monkeypatch.setattr(election, "STOP_S", 0.2)

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)

    async def told_to_end() -> str:
        task = asyncio.create_task(lead(None, "ns", "me", stubborn))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.wait({task})
        return leases.stored.spec.holder_identity

    assert asyncio.run(told_to_end()) == "me"


def test_work_that_leaves_something_behind_keeps_the_lease_too(leases):
    async def leaves() -> None:
        raise election.Stuck("one part did not stop")

    with pytest.raises(election.Stuck):
        asyncio.run(lead(None, "ns", "me", leaves))
    assert leases.stored.spec.holder_identity == "me"


def test_parts_end_with_the_first_of_them_and_one_that_does_not_is_told(monkeypatch):
    monkeypatch.setattr(election, "STOP_S", 0.2)
    stopped = []

    async def waits(stubborn: bool) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(stubborn)
            if stubborn:
                await asyncio.sleep(1)

    async def parts(stubborn: bool) -> None:
        async def done() -> None: ...

        await first_of(asyncio.create_task(waits(stubborn)), asyncio.create_task(done()))

    asyncio.run(parts(False))
    with pytest.raises(election.Stuck):
        asyncio.run(parts(True))
    assert stopped == [False, True]


def test_a_lease_that_may_be_anothers_is_left_alone(leases):
    async def given_back() -> None:
        lock = election.PatientLock("lease", "ns", "me", None)
        record = election.LeaderElectionRecord("me", "15", "2030-01-01 00:00:00.1", "2030-01-01 00:00:00.1")
        await lock.create("lease", "ns", record)
        lock.valid_until_s -= LEASE_S
        await lock.give_back()

    asyncio.run(given_back())
    assert leases.asked == ["create"]
