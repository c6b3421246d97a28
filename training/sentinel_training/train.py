"""Training from nothing by one command: seeded, with checkpoints from which an interrupted run goes on."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from sentinel_training import network
from sentinel_training.lessons import Lessons, bins, of_split, restore, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sentinel_training.network import Network, Trunks

WEIGHTS: Final = (1.0, 0.05, 0.1)
"""Of the heads: nats of the hazard matter most."""
LEARNING_RATE: Final = 1.5e-3
CLIP: Final = 1.0
SEED: Final = 20_261_121
THREADS: Final = 1
"""More would make sums in another order, and wait for each other where cores are shared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is learned from; scenes are of every kind, at 100 ms and at 1 s."""

    each: int
    seconds: float
    coarse_each: int
    coarse_seconds: float
    epochs: int
    chunk: int = 150


PLANS: Final = {
    "quick": Plan(each=2, seconds=600.0, coarse_each=2, coarse_seconds=1_200.0, epochs=2),
    "full": Plan(each=5, seconds=1_200.0, coarse_each=5, coarse_seconds=2_400.0, epochs=12),
}


def lessons(split: str, plan: Plan, folder: Path, told: Callable[[str], None]) -> list[Lessons]:
    """Made once a folder; validation and test are half as much as what is learned from."""
    path = folder / f"{split[:16]}.npz"
    if path.exists():
        told(f"{split[:16]}: as they are in {path}")
        return restore(path)
    share = 1 if split == "training" else 2
    parts = [
        of_split(split, max(2, plan.each // share), plan.seconds, 0.1, told),
        of_split(split, max(2, plan.coarse_each // share), plan.coarse_seconds, 1.0, told),
    ]
    save(parts, path)
    return parts


class Training:
    """One network; `run` goes on from wherever the last checkpoint was."""

    def __init__(self, trunk: Trunks, plan: Plan, folder: Path, told: Callable[[str], None]) -> None:
        torch.manual_seed(SEED)
        torch.set_num_threads(THREADS)
        self.network = network.fresh(trunk)
        self._plan, self._told = plan, told
        self._path = folder / f"{trunk}.checkpoint"
        self._steps = torch.optim.Adam(self.network.parameters(), LEARNING_RATE)
        self._epoch = 0
        if self._path.exists():
            self._restore()

    def run(self, training: list[Lessons], validation: list[Lessons]) -> None:
        """Ctrl-C loses the epoch that runs, nothing else: a checkpoint replaces the last one whole."""
        while self._epoch < self._plan.epochs:
            share = 0.5 * (1 + math.cos(math.pi * self._epoch / self._plan.epochs))
            for group in self._steps.param_groups:
                group["lr"] = LEARNING_RATE * max(share, 0.1)
            began = time.monotonic()
            learned = self._pass(training, learn=True)
            judged = self._pass(validation, learn=False)
            self._epoch += 1
            self._save()
            took = time.monotonic() - began
            self._told(
                f"{self.network.trunk.name}: epoch {self._epoch} of {self._plan.epochs} in {took:.0f} s, "
                f"training {_spelled(learned)}, validation {_spelled(judged)}"
            )

    def _pass(self, parts: list[Lessons], *, learn: bool) -> list[float]:
        """Through time, chunk by chunk; the state is carried on, the gradient is not."""
        total, chunks = torch.zeros(len(WEIGHTS)), 0
        with torch.set_grad_enabled(learn):
            for part in parts:
                state = self.network.trunk.start(part.x.shape[1])
                for first in range(0, len(part.x) - self._plan.chunk + 1, self._plan.chunk):
                    each, state = self._chunk(part.part(first, first + self._plan.chunk), state)
                    if learn:
                        self._step(each)
                    total += torch.stack([one.detach() for one in each])
                    chunks += 1
        return [float(one) for one in total / max(chunks, 1)]

    def _chunk(self, part: Lessons, state: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        came, asked = bins(part.until_s)
        x, valid = _by_class(part.x), _by_class(part.valid)
        said, after = self.network.run(x, valid, state)
        each = network.losses(
            said, x, _by_class(came), _by_class(asked), _by_class(part.magnitude), _by_class(part.demand)
        )
        return each, after.detach()

    def _step(self, each: list[torch.Tensor]) -> None:
        self._steps.zero_grad()
        sum((weight * one for weight, one in zip(WEIGHTS, each, strict=True)), torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self._steps.step()

    def _save(self) -> None:
        kept: dict[str, Any] = {
            "epoch": self._epoch,
            "weights": [each.detach() for each in self.network.parameters()],
            "steps": self._steps.state_dict(),
        }
        fresh = self._path.with_suffix(".new")
        torch.save(kept, fresh)
        fresh.replace(self._path)

    def _restore(self) -> None:
        kept = torch.load(self._path, weights_only=True)
        for own, saved in zip(self.network.parameters(), kept["weights"], strict=True):
            own.data.copy_(saved)
        self._steps.load_state_dict(kept["steps"])
        self._epoch = kept["epoch"]
        self._told(f"{self.network.trunk.name}: goes on after epoch {self._epoch} of {self._path}")


def _by_class(table: np.ndarray[Any, Any]) -> torch.Tensor:
    """[steps, series, …] to [series, steps, …]."""
    return torch.from_numpy(np.ascontiguousarray(np.swapaxes(table, 0, 1), dtype=np.float32))


def answers(net: Network, part: Lessons, chunk: int = 500) -> list[np.ndarray[Any, Any]]:
    """What the network says of every step: logits, sizes and rates as the heads give them, [steps, series, …]."""
    found: list[list[torch.Tensor]] = [[], [], []]
    state = net.trunk.start(part.x.shape[1])
    with torch.no_grad():
        for first in range(0, len(part.x), chunk):
            piece = part.part(first, first + chunk)
            said, state = net.run(_by_class(piece.x), _by_class(piece.valid), state)
            for kept, one in zip(found, (said.hazard, said.magnitude, said.demand), strict=True):
                kept.append(one)
    return [torch.cat(each, dim=1).transpose(0, 1).numpy() for each in found]


def _spelled(each: list[float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in zip(network.HEADS, each, strict=True))
