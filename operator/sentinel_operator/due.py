"""Which clusters want a look: many events of one cluster make one look, and a failed look comes again later."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 120.0  # for what stays wrong until a person mends it
LAST_TRANSIENT_RETRY_S = 5.0  # for a server that is away: it is to be met soon after it comes back


class ClusterName(NamedTuple):
    namespace: str
    name: str


def retry_after_s(failures: int, last_s: float = LAST_RETRY_S) -> float:
    """Doubles from one second to a bound, so that a broken object never makes a hot loop."""
    return float(min(last_s, FIRST_RETRY_S * 2 ** min(failures - 1, 10)))


@dataclass(slots=True)
class Due:
    """A set with a bell. A cluster marked while it is being looked at is looked at once more.

    After each look a cluster rests: marks meanwhile make one look when the rest is over, however many they are.
    """

    _marked: dict[ClusterName, None] = field(default_factory=dict)
    _failures: dict[ClusterName, int] = field(default_factory=dict)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _resting: dict[ClusterName, bool] = field(default_factory=dict)  # → whether it was marked since

    def mark(self, name: ClusterName) -> None:
        if name in self._resting:
            self._resting[name] = True
        else:
            self.urge(name)

    def urge(self, name: ClusterName) -> None:
        """A mark that ends the rest: for what a person asked, which is never a storm."""
        self._marked[name] = None
        self._bell.set()

    def rest(self, name: ClusterName, seconds: float) -> None:
        self._resting[name] = False
        asyncio.get_running_loop().call_later(seconds, self._rested, name)

    def _rested(self, name: ClusterName) -> None:
        if self._resting.pop(name, False):
            self.urge(name)

    async def take(self) -> ClusterName:
        """The one marked longest ago; waits for the first mark."""
        while not self._marked:
            self._bell.clear()
            await self._bell.wait()
        name = next(iter(self._marked))
        del self._marked[name]
        return name

    def succeeded(self, name: ClusterName) -> None:
        self._failures.pop(name, None)

    def failed(self, name: ClusterName, *, transient: bool = False) -> float:
        """How long to wait before the next look at this cluster."""
        self._failures[name] = self._failures.get(name, 0) + 1
        return retry_after_s(self._failures[name], LAST_TRANSIENT_RETRY_S if transient else LAST_RETRY_S)
