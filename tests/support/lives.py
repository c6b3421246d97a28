"""Operators that live inside the test for a few looks, and may be cut off from the API server at any write."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sentinel_api.errors import SentinelError
from sentinel_operator.cluster import AGAIN, connected
from sentinel_operator.due import ClusterName, Due
from sentinel_operator.mirror import Mirror
from sentinel_operator.render.base import Release
from sentinel_operator.worker import Worker
from support.faulty_proxy import Asked, Fault, Proxy
from support.operators import FRONT

NAME = ClusterName("default", "front")
TELLS = f"PATCH {FRONT}/status"
MOST_LIVES = 200  # it only ends what never settles
KUBECONFIG = "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"


@contextlib.contextmanager
def reached_by(kubeconfig: Path) -> Iterator[pytest.MonkeyPatch]:
    """The library reads KUBECONFIG when it is imported, which another test may have done long ago; what is refused is
    asked again at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        patch.setattr(KUBECONFIG, str(kubeconfig))
        patch.setattr("sentinel_operator.cluster.AGAIN", replace(AGAIN, duration=0.01, factor=1.0))
        yield patch


@contextlib.asynccontextmanager
async def born() -> AsyncIterator[Worker]:
    """A worker that knows nothing but what the API server tells it, without watches: it lists when it is asked to."""
    mirror = Mirror()
    async with connected(mirror.keep) as api:
        yield Worker(api, Release(agent_image="sentinel.test/agent:1"), Due(), mirror)


async def looked(worker: Worker) -> bool:
    """Lists and looks once; whether it was met with no error."""
    try:
        await worker._refresh()
        await worker.reconcile(NAME)
    except SentinelError:
        return False
    return True


def one_life(holds: Callable[[], bool]) -> None:
    """An operator that looks again and again, until that holds."""

    async def live() -> None:
        async with born() as worker:
            for _ in range(MOST_LIVES):
                await looked(worker)
                if holds():
                    return
                await asyncio.sleep(0.2)
        raise AssertionError(f"not settled after {MOST_LIVES} looks")

    asyncio.run(live())


@dataclass
class Guillotine:
    """Cuts an operator off with its first write: that is done, but it never hears of it, and writes no more."""

    proxy: Proxy
    fell: bool = False
    cuts: list[str] = field(default_factory=list)

    def choose(self, asked: Asked) -> Fault:
        if self.fell:
            return "refuse"
        if not asked.writes:
            return ""
        self.fell = True
        self.cuts.append(f"{asked.method} {asked.path}")
        return "cut"

    def lives(self, holds: Callable[[], bool]) -> None:
        """One operator after the other, each of which finds what the last one left, until that holds and nothing is
        left to do but to tell it."""

        async def live() -> None:
            async with born() as worker:
                await looked(worker)

        self.proxy.choose = self.choose
        for _ in range(MOST_LIVES):
            self.fell = False
            asyncio.run(live())
            idle = not self.fell or self.cuts[-2:] == [TELLS] * 2
            if idle and holds():
                self.proxy.choose = lambda _: ""
                return
            if idle:
                time.sleep(0.2)  # until the next decision is due
        raise AssertionError(f"not settled after {MOST_LIVES} lives: {self.cuts}")
