"""When the balancer's loop ticks: on a grid, and once besides when somebody fell silent."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
from sentinel_lb import loop
from sentinel_lb.loop import Loop

MS = 1_000_000
CONFIG = BalancerConfig.model_validate({"backends": [{"name": "node1", "address": "192.0.2.1"}]})


@dataclass
class Clock:
    """Goes on while the loop waits, and stops it at its end."""

    end_ns: int
    now_ns: int = 0
    stopped: bool = False

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)
        self.stopped = self.now_ns >= self.end_ns

    def is_set(self) -> bool:
        return self.stopped


@dataclass
class Silence:
    """Numbers that the mesh does not hear, from when to when."""

    clock: Clock
    spans: list[tuple[int, int, int]] = field(default_factory=list)

    def silent(self, _seats: object) -> list[int]:
        return [number for number, start, end in self.spans if start <= self.clock.now_ns < end]


class Hands:
    def found(self) -> dict[int, object]:
        return {}

    def configure(self, _config: object) -> None: ...

    def doubt(self, _numbers: object) -> None: ...


class Ticking(Loop):
    def tick(self) -> int:
        return loop.time.monotonic_ns() // MS


@pytest.fixture
def ticks(monkeypatch):
    def ran(*spans: tuple[int, int, int], ms: int = 400) -> list[int]:
        clock = Clock(ms * MS)
        monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic_ns=clock.monotonic_ns))
        monkeypatch.setattr(loop, "go_first", lambda: "as it is")
        silence = Silence(clock, [(number, start * MS, end * MS) for number, start, end in spans])
        found: list[int] = []
        Ticking("lb1", Hands(), silence, found.append, CONFIG, _stopped=clock).run()
        return found

    return ran


def test_it_ticks_ten_times_a_second(ticks):
    assert ticks() == [0, 100, 200, 300]


def test_what_a_death_brings_the_others_is_told_at_once_and_once(ticks):
    assert ticks((3, 125, 400)) == [0, 100, 130, 200, 300]


def test_one_tick_a_period_is_all_that_silence_may_add(ticks):
    assert ticks((1, 110, 120), (2, 130, 140), (3, 150, 160)) == [0, 100, 110, 200, 300]


def test_who_falls_silent_again_is_told_of_again(ticks):
    assert ticks((1, 110, 150), (1, 250, 300)) == [0, 100, 110, 200, 250, 300]
