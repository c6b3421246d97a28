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
LEARNING_RATE: Final = 2e-3
LEAST_SHARE: Final = 0.01
"""Of the learning rate, at the end of its cosine."""
DECAY: Final = 0.01
CLIP: Final = 1.0
SEED: Final = 20_261_121
THREADS: Final = 1
"""More would make sums in another order, and wait for each other where cores are shared."""
FINE_SHARE: Final = 0.6
"""Of the windows are of steps of 100 ms, the agent's own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is learned from: scenes of every kind, at 100 ms and at 1 s, and windows of them drawn at random."""

    each: int
    seconds: float
    coarse_each: int
    coarse_seconds: float
    epochs: int
    updates: int
    """An epoch; after each the network is judged, and the best one is kept."""
    batch: int = 48
    window: int = 64


PLANS: Final = {
    "quick": Plan(each=4, seconds=600.0, coarse_each=4, coarse_seconds=1_200.0, epochs=2, updates=150),
    "full": Plan(each=24, seconds=1_200.0, coarse_each=24, coarse_seconds=2_400.0, epochs=10, updates=500),
}
JUDGED: Final = 3
"""Validation and test are such a part of what is learned from."""


def lessons(split: str, plan: Plan, folder: Path, told: Callable[[str], None]) -> list[Lessons]:
    """Made once a folder."""
    path = folder / f"{split[:16]}.npz"
    if path.exists():
        told(f"{split[:16]}: as they are in {path}")
        return restore(path)
    share = 1 if split == "training" else JUDGED
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
        self._steps = torch.optim.AdamW(self.network.parameters(), LEARNING_RATE, weight_decay=DECAY)
        self._epoch = 0
        self._best = math.inf, self._weights()
        if self._path.exists():
            self._restore()

    def run(self, training: list[Lessons], validation: list[Lessons]) -> None:
        """Ctrl-C loses the epoch that runs, nothing else: a checkpoint replaces the last one whole."""
        drawn = [_Drawn(part) for part in training]
        while self._epoch < self._plan.epochs:
            began = time.monotonic()
            learned = self._learn(drawn)
            judged = self._judge(validation)
            self._epoch += 1
            loss = sum(weight * one for weight, one in zip(WEIGHTS, judged, strict=True))
            if loss < self._best[0]:
                self._best = loss, self._weights()
            self._save()
            took = time.monotonic() - began
            self._told(
                f"{self.network.trunk.name}: epoch {self._epoch} of {self._plan.epochs} in {took:.0f} s, "
                f"training {_spelled(learned)}, validation {_spelled(judged)}"
            )
        self._put(self._best[1])

    def _learn(self, drawn: list[_Drawn]) -> list[float]:
        """Windows from anywhere, so that neighbours in a batch have nothing in common; what a trunk needs to warm up
        comes before each and is not asked about."""
        random = np.random.default_rng([SEED, self._epoch])
        plan, warm_up, total = self._plan, self.network.trunk.warm_up, torch.zeros(len(WEIGHTS))
        for update in range(plan.updates):
            self._slow_down(self._epoch + update / plan.updates)
            part = drawn[0] if len(drawn) == 1 or random.random() < FINE_SHARE else drawn[1]
            x, valid, until, magnitude, demand = part.windows(random, plan.batch, warm_up + plan.window)
            said, _ = self.network.run(x, valid, self.network.trunk.start(plan.batch))
            each = _losses(said, warm_up, x, until, magnitude, demand)
            self._step(each)
            total += torch.stack([one.detach() for one in each])
        return [float(one) for one in total / plan.updates]

    def _slow_down(self, epochs: float) -> None:
        share = 0.5 * (1 + math.cos(math.pi * epochs / self._plan.epochs))
        for group in self._steps.param_groups:
            group["lr"] = LEARNING_RATE * max(share, LEAST_SHARE)

    def _judge(self, parts: list[Lessons], chunk: int = 400) -> list[float]:
        """Through time from its beginning, with the state carried on as in service."""
        total, chunks = torch.zeros(len(WEIGHTS)), 0
        with torch.no_grad():
            for part in parts:
                state = self.network.trunk.start(part.x.shape[1])
                for first in range(0, len(part.x), chunk):
                    each = part.part(first, first + chunk)
                    x = _by_class(each.x)
                    said, state = self.network.run(x, _by_class(each.valid), state)
                    asked = (_by_class(table) for table in (each.until_s, each.magnitude, each.demand))
                    total += torch.stack(_losses(said, 0, x, *asked))
                    chunks += 1
        return [float(one) for one in total / max(chunks, 1)]

    def _step(self, each: list[torch.Tensor]) -> None:
        self._steps.zero_grad()
        sum((weight * one for weight, one in zip(WEIGHTS, each, strict=True)), torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self._steps.step()

    def _weights(self) -> list[torch.Tensor]:
        return [each.detach().clone() for each in self.network.parameters()]

    def _put(self, weights: list[torch.Tensor]) -> None:
        for own, put in zip(self.network.parameters(), weights, strict=True):
            own.data.copy_(put)

    def _save(self) -> None:
        kept: dict[str, Any] = {
            "epoch": self._epoch,
            "weights": self._weights(),
            "steps": self._steps.state_dict(),
            "best": self._best,
        }
        fresh = self._path.with_suffix(".new")
        torch.save(kept, fresh)
        fresh.replace(self._path)

    def _restore(self) -> None:
        kept = torch.load(self._path, weights_only=True)
        self._put(kept["weights"])
        self._steps.load_state_dict(kept["steps"])
        self._epoch, self._best = kept["epoch"], kept["best"]
        self._told(f"{self.network.trunk.name}: goes on after epoch {self._epoch} of {self._path}")


class _Drawn:
    """One part of the lessons, class by class, from which windows are drawn."""

    def __init__(self, part: Lessons) -> None:
        self._tables = [_by_class(each) for each in (part.x, part.valid, part.until_s, part.magnitude, part.demand)]

    def windows(self, random: np.random.Generator, batch: int, steps: int) -> list[torch.Tensor]:
        series, length = self._tables[1].shape
        which = torch.from_numpy(random.integers(0, series, batch))[:, None]
        first = torch.from_numpy(random.integers(0, length - steps + 1, batch))[:, None]
        at = first + torch.arange(steps)
        return [table[which, at] for table in self._tables]


def _losses(said: network.Corrected, warm_up: int, x: torch.Tensor, *asked: torch.Tensor) -> list[torch.Tensor]:
    until, magnitude, demand = (table[:, warm_up:] for table in asked)
    came, open_ = (torch.from_numpy(table) for table in bins(until.numpy()))
    told = network.Corrected(said.hazard[:, warm_up:], said.magnitude[:, warm_up:], said.demand[:, warm_up:])
    return network.losses(told, x[:, warm_up:], came, open_, magnitude, demand)


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
