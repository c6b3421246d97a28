"""Scenes turned into what a model is fed and what then came, step by step, as the agent would have met them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.records import HORIZONS_S
from sentinel_core.demand import SLOT_S
from sentinel_core.events import LIVE, TRACE
from sentinel_core.inputs import COLUMNS, FLOORS, Seen
from sentinel_core.senses import BYTES, Senses
from sentinel_core.signature import HAZARD_BINS
from sentinel_training import scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sentinel_training.scenes import Scene

    Floats = NDArray[np.float64]
    Table = NDArray[np.float32]

MAGNITUDE_S: Final = 10.0
"""A burst's surplus is that of the ten seconds from its onset."""
MAGNITUDE_SEEN_S: Final = 60.0
"""How long before an onset its size is asked for."""
EMBARGO: Final = 100_000
"""Between the seeds of two splits: scenes of different splits share no draw."""
SPLITS: Final = {"training": 1 * EMBARGO, "validation": 2 * EMBARGO}
TEST: Final = 3 * EMBARGO


TABLES: Final = ("x", "valid", "until_s", "magnitude", "demand")


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """[steps, series, …]. `until_s` is the time from the end of the step to the next onset, without end after the
    last; `magnitude` and `demand` are logs over the class's scale, NaN where nothing is asked."""

    kinds: tuple[str, ...]
    step_s: float
    x: Table
    valid: Table
    until_s: Table
    magnitude: Table
    demand: Table

    def part(self, first: int, beyond: int) -> Lessons:
        at = slice(first, beyond)
        return Lessons(
            self.kinds, self.step_s, self.x[at], self.valid[at], self.until_s[at], self.magnitude[at], self.demand[at]
        )


def of_split(split: str, each: int, seconds: float, step_s: float, told: Callable[[str], None]) -> Lessons:
    """So many scenes of every kind, whose seeds no other split uses.

    A split that is not named in `SPLITS` is a digest: its seeds follow from an accepted model, so that nobody could
    know them while it was trained.
    """
    first = seeds(split) + round(step_s * 1_000)
    made = [scenes.made(kind, seconds, first + seed, step_s) for kind in scenes.KINDS for seed in range(each)]
    return of_scenes(made, told)


def seeds(split: str) -> int:
    """The first seed of a split; the next ones up to the embargo are its own too."""
    return SPLITS[split] if split in SPLITS else TEST + int(split[:8], 16) * EMBARGO


def save(parts: Sequence[Lessons], path: Path) -> None:
    """Written aside and then moved, so that an interrupted run leaves no half file."""
    kept: dict[str, Any] = {}
    for at, part in enumerate(parts):
        for name in ("kinds", "step_s", *TABLES):
            kept[f"{name}_{at}"] = np.asarray(getattr(part, name))
    fresh = path.with_suffix(".new.npz")
    np.savez(fresh, **kept)
    fresh.replace(path)


def restore(path: Path) -> list[Lessons]:
    with np.load(path) as kept:
        count = sum(name.startswith("kinds_") for name in kept.files)
        return [
            Lessons(
                tuple(kept[f"kinds_{at}"].tolist()),
                float(kept[f"step_s_{at}"]),
                **{name: kept[f"{name}_{at}"] for name in TABLES},
            )
            for at in range(count)
        ]


def of_scenes(made: Sequence[Scene], told: Callable[[str], None]) -> Lessons:
    """All of one step and length, side by side; every class still learns by itself."""
    step_s, steps = made[0].step_s, len(made[0].value)
    senses = Senses(len(made), step_s, LIVE if step_s < 0.5 else TRACE)
    value, known = np.stack([m.value for m in made], axis=1), np.stack([m.known for m in made], axis=1)
    surplus = np.stack([m.surplus_bytes for m in made], axis=1)
    x = np.zeros((steps, len(made), len(COLUMNS)), np.float32)
    valid = np.zeros((steps, len(made)), np.float32)
    for step in range(steps):
        now = Seen(value[step], known[step], step_s)
        senses.step(now, surplus[step])
        fed = senses.inputs(now, senses.learned())
        x[step], valid[step] = fed.x, fed.valid
        if step % (steps // 10) == 0:
            told(f"learners: {100 * step // steps} % of {steps} steps, {len(made)} classes of {step_s:g} s")
    until = np.stack([_until(m, steps) for m in made], axis=1)
    scale = x[:, :, -1]
    magnitude = np.stack([_magnitude(m, steps) for m in made], axis=1) - scale
    demand = np.stack([_demand(m, steps) for m in made], axis=1) - scale[:, :, None]
    kinds = tuple(m.kind for m in made)
    return Lessons(kinds, step_s, x, valid, until, magnitude.astype(np.float32), demand.astype(np.float32))


def _until(scene: Scene, steps: int) -> Table:
    ends = (np.arange(steps) + 1) * scene.step_s
    coming = np.append(np.sort(scene.onsets_s), np.inf)
    found: Table = (coming[np.searchsorted(coming, ends)] - ends).astype(np.float32)
    return found


def _magnitude(scene: Scene, steps: int) -> Floats:
    """Log of the surplus bytes of the next onset, where that is near."""
    ends = (np.arange(steps) + 1) * scene.step_s
    onsets = np.sort(scene.onsets_s)
    summed = np.concatenate([[0.0], np.cumsum(scene.surplus_bytes)])
    first = np.minimum((onsets / scene.step_s).astype(np.int64), steps)
    beyond = np.minimum(first + round(MAGNITUDE_S / scene.step_s), steps)
    brought = np.append(np.log(summed[beyond] - summed[first] + 1.0), np.nan)
    which = np.searchsorted(onsets, ends)
    near = np.append(onsets, np.inf)[which] - ends < MAGNITUDE_SEEN_S
    return np.where(near, brought[which], np.nan)


def _demand(scene: Scene, steps: int) -> Floats:
    """Log of the mean rate in the slot that ends at each horizon, where all of it was measured."""
    slot = round(SLOT_S / scene.step_s)
    known = scene.known[:, BYTES]
    summed = np.concatenate([[0.0], np.cumsum(scene.value[:, BYTES])])
    counted = np.concatenate([[0], np.cumsum(known)])
    found = np.full((steps, len(HORIZONS_S)), np.nan)
    for at, horizon in enumerate(HORIZONS_S):
        end = np.arange(steps) + 1 + round(horizon / scene.step_s)
        inside = end <= steps
        end = np.minimum(end, steps)
        whole = inside & (counted[end] - counted[end - slot] == slot)
        rate = (summed[end] - summed[end - slot]) / slot
        found[:, at] = np.where(whole, np.log(rate + FLOORS[0]), np.nan)
    return found


def bins(until_s: Table) -> tuple[Table, Table]:
    """[…, 10]: whether an onset comes in each coming second, and whether that is asked: not of what follows one."""
    second = np.arange(HAZARD_BINS, dtype=np.float32)
    came = (until_s[..., None] >= second) & (until_s[..., None] < second + 1)
    asked = until_s[..., None] >= second
    return came.astype(np.float32), asked.astype(np.float32)
