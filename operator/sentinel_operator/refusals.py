"""What the API server refuses until a person mends it, write by write: each is tried later and later, and stands in
no other's way."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import structlog

from sentinel_api.errors import Invalid
from sentinel_operator.due import retry_after_s
from sentinel_operator.objects import Key

MOST_A_LOOK = 5  # of each verb: a right that was taken away refuses a thousand orders alike, and nothing but orders

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a plan. `wanted` tells what it asks for: something else is tried at once."""

    verb: str
    at: Key
    wanted: object
    send: Callable[[], Awaitable[object]]

    @property
    def step(self) -> tuple[str, Key]:
        return self.verb, self.at


@dataclass(frozen=True, slots=True)
class _Refusal:
    wanted: object
    why: str
    failures: int
    again_at_s: float


@dataclass(slots=True)
class Refusals:
    """Of one cluster, from look to look."""

    now_s: Callable[[], float] = time.monotonic
    _standing: dict[tuple[str, Key], _Refusal] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """The first sentence and how many more; empty when nothing is refused."""
        if not self._standing:
            return ""
        first, more = next(iter(self._standing.values())).why, len(self._standing) - 1
        return f"{first} ({more} more are refused)" if more else first

    async def carry_out(self, writes: Iterable[Write]) -> bool:
        """Whether all of them are done. What fails for now ends it; what is refused does not."""
        done, refused = True, Counter[str]()
        for write in writes:
            if self._rests(write) or refused[write.verb] >= MOST_A_LOOK:
                done = False
                continue
            try:
                await write.send()
            except Invalid as error:
                self._refused(write, str(error))
                refused[write.verb] += 1
                done = False
            else:
                self._standing.pop(write.step, None)
        return done

    def forget_others(self, writes: Iterable[Write]) -> None:
        """What is not asked for any more is refused no more."""
        asked = {write.step for write in writes}
        self._standing = {step: each for step, each in self._standing.items() if step in asked}

    def _rests(self, write: Write) -> bool:
        known = self._standing.get(write.step)
        return known is not None and known.wanted == write.wanted and self.now_s() < known.again_at_s

    def _refused(self, write: Write, why: str) -> None:
        known = self._standing.get(write.step)
        failures = known.failures + 1 if known is not None and known.wanted == write.wanted else 1
        again_s = retry_after_s(failures)
        self._standing[write.step] = _Refusal(write.wanted, why, failures, self.now_s() + again_s)
        log.warning("write_refused", object=str(write.at), error=why, again_s=again_s)
