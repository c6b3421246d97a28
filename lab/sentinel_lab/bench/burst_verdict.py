"""What the product is held to, beside what a comparison found: each line from stored figures, met or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_lab.policies import PRODUCT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORESEEN: Final = ("periodic", "precursor")
PATTERNS: Final = (*FORESEEN, "microburst", "random", "mixed")
FEWER, POINTS, DELAY, GRANTED, POOL, INVERTED = 0.95, 0.05, 1.10, 0.40, 0.80, 1.05
SMALL, BESIDE = "static-small", (PRODUCT, "static-large", "oracle", "reactive-10ms")
LEAST_PERCENT: Final = 0.0005
"""Three decimals are told; less than half of the last is none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    wanted: str
    found: str
    met: bool


def verdicts(metrics: Mapping[str, float]) -> Iterator[Verdict]:
    """Only of what was measured."""
    for pattern in PATTERNS:
        told = _Told(metrics, pattern)
        if pattern in FORESEEN:
            yield from told.fewer("reactive-100ms")
            yield from told.fewer("reactive-1s")
            yield from told.no_more("reactive-10ms", f"at most {POINTS} points more drops than reactive-10ms", POINTS)
            yield from told.bounded(
                "granted_ratio_vs_static_large", f"granted ≤ {GRANTED:.2f} of static-large", GRANTED
            )
        if pattern == "microburst":
            yield from told.less("reactive-10ms")
        if pattern == "random":
            yield from told.no_more("reactive-100ms", "no more drops than reactive-100ms")
        if pattern == "mixed":
            wanted = f"smallest pool that serves ≤ {POOL:.2f} of reactive-10ms's, at no worse p99 and bulk goodput"
            yield from told.bounded("pool_ratio_vs_reactive_10ms", wanted, POOL)
        yield from told.unnoticed()
        yield from told.inverted()


def table(metrics: Mapping[str, float]) -> str:
    lines = [f"| {each.wanted} | {each.found} | {'yes' if each.met else '**no**'} |" for each in verdicts(metrics)]
    return "\n".join(["| wanted | found | met |", "| --- | --- | --- |", *lines]) + "\n" if lines else ""


class _Told:
    """The figures of one pattern."""

    def __init__(self, metrics: Mapping[str, float], pattern: str) -> None:
        self._metrics, self._pattern = metrics, pattern

    def fewer(self, rival: str) -> Iterator[Verdict]:
        ours, theirs = self._dropped(PRODUCT), self._dropped(rival)
        if ours is None or theirs is None:
            return
        wanted = f"{self._pattern}: ≥ {100 * FEWER:.0f} % fewer drops than {rival}"
        yield Verdict(wanted, _two(ours, theirs), theirs > 0 and ours <= (1 - FEWER) * theirs)

    def less(self, rival: str) -> Iterator[Verdict]:
        """Fewer than none cannot be: where the rival drops nothing, nothing is what is asked for."""
        ours, theirs = self._dropped(PRODUCT), self._dropped(rival)
        if ours is None or theirs is None:
            return
        none = theirs < LEAST_PERCENT
        wanted = f"{self._pattern}: fewer drops than {rival}{', which drops none' if none else ''}"
        yield Verdict(wanted, _two(ours, theirs), ours < LEAST_PERCENT if none else ours < theirs)

    def no_more(self, rival: str, wanted: str, points: float = 0.0) -> Iterator[Verdict]:
        ours, theirs = self._dropped(PRODUCT), self._dropped(rival)
        if ours is not None and theirs is not None:
            yield Verdict(f"{self._pattern}: {wanted}", _two(ours, theirs), ours <= theirs + points)

    def bounded(self, name: str, wanted: str, most: float) -> Iterator[Verdict]:
        ratio = self._metrics.get(f"{self._pattern}.{name}")
        if ratio is not None:
            yield Verdict(f"{self._pattern}: {wanted}", f"{ratio:.2f}", ratio <= most)

    def unnoticed(self) -> Iterator[Verdict]:
        """Beside the ratio that of others, who tell what the machine itself does: one gives no orders at all."""
        waits = {each: self._metrics.get(f"{self._pattern}.{each}.bystander_queue_us_p99") for each in (SMALL, *BESIDE)}
        small = waits.pop(SMALL)
        if not small or waits[PRODUCT] is None:
            return
        ratios = {each: wait / small for each, wait in waits.items() if wait is not None}
        ours = ratios.pop(PRODUCT)
        others = ", ".join(f"{each} {ratio:.2f}" for each, ratio in ratios.items())
        wanted = f"{self._pattern}: bystander's p99 in the queue ≤ {DELAY:.2f} x {SMALL}"
        yield Verdict(wanted, f"{ours:.2f}{f' ({others})' if others else ''}", ours <= DELAY)

    def inverted(self) -> Iterator[Verdict]:
        ours, theirs = self._dropped("predictive-inverted"), self._dropped("reactive-100ms")
        if ours is not None and theirs is not None:
            wanted = f"{self._pattern}: with inverted forecasts ≤ {INVERTED:.2f} x reactive-100ms's drops"
            yield Verdict(wanted, _two(ours, theirs), ours <= INVERTED * theirs)

    def _dropped(self, policy: str) -> float | None:
        return self._metrics.get(f"{self._pattern}.{policy}.drop_percent")


def _two(ours: float, theirs: float) -> str:
    return f"{ours:.3f} against {theirs:.3f} %"
