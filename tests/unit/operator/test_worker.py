"""The operator's worker: what goes wrong with one cluster is its own affair."""

import asyncio

from sentinel_operator.due import ClusterName, Due
from sentinel_operator.mirror import Mirror
from sentinel_operator.render.base import Release
from sentinel_operator.worker import LOOKS, Worker

FRONT = ClusterName("default", "front")


class Faulty(Worker):
    async def reconcile(self, name: ClusterName) -> float | None:
        raise KeyError(name)


def broken() -> float:
    return next(
        (each.value for family in LOOKS.collect() for each in family.samples if each.labels == {"outcome": "Broken"}),
        0.0,
    )


def test_a_fault_of_ours_with_one_cluster_is_told_and_ends_nothing():
    async def looked() -> None:
        worker = Faulty(api=None, release=Release("none"), due=Due(), mirror=Mirror())
        await worker.look(FRONT)
        await worker.look(FRONT)

    before = broken()
    asyncio.run(looked())
    assert broken() == before + 2
