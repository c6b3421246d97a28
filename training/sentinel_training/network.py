"""The networks that compete: a trunk that remembers (recurrent or convolutional) and one linear layer of corrections.

What the learners say passes through, and the network adds to it: logits of the hazard, logs of sizes and rates. It
starts from no correction at all, so it can only become different where training showed that to be better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from sentinel_api.records import HORIZONS_S
from sentinel_core.inputs import COLUMNS, DEMANDS, FEATURES, HAZARDS, IMPOSSIBLE, MAGNITUDES
from sentinel_core.signature import DEMAND_LEVELS, HAZARD_BINS, MAGNITUDE_LEVELS

WIDTH: Final = 128
LAYERS: Final = 3
FED: Final = len(COLUMNS)
"""All columns but the scale, and `valid` in its place."""

CHANNELS: Final = 48
DILATIONS: Final = (1, 2, 4, 8, 16, 32)

SIZES: Final = (HAZARD_BINS, len(MAGNITUDE_LEVELS), len(HORIZONS_S) * len(DEMAND_LEVELS))
HEADS: Final = ("hazard", "magnitude", "demand")
Trunks = Literal["lstm", "tcn"]


def column_scale() -> Tensor:
    """Brings every column to about one; baked into the export."""
    scale = torch.full((FED,), 0.5)
    scale[HAZARDS] = 0.25
    scale[: len(FEATURES)] = 0.7
    return scale


class Trunk(Protocol):
    """[series, steps, FED] and a state to [series, steps, width] and the state after."""

    name: Trunks
    width: int
    warm_up: int
    """Steps until a state that began at nothing is as good as any."""

    def parameters(self) -> list[Tensor]: ...
    def start(self, series: int) -> Tensor: ...
    def run(self, fed: Tensor, state: Tensor) -> tuple[Tensor, Tensor]: ...


class Lstm:
    name: Trunks = "lstm"
    width = WIDTH
    warm_up = 64

    def __init__(self) -> None:
        self.layers = nn.LSTM(FED, WIDTH, LAYERS, batch_first=True)

    def parameters(self) -> list[Tensor]:
        return list(self.layers.parameters())

    def start(self, series: int) -> Tensor:
        """Hidden states of all layers, then cells of all layers."""
        return torch.zeros(series, 2 * LAYERS * WIDTH)

    def run(self, fed: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        parts = state.reshape(len(state), 2 * LAYERS, WIDTH).transpose(0, 1).contiguous()
        out, (hidden, cell) = self.layers(fed, (parts[:LAYERS].contiguous(), parts[LAYERS:].contiguous()))
        after = torch.cat([hidden, cell]).transpose(0, 1).reshape(len(state), -1)
        return out, after


class Tcn:
    """Causal convolutions of two taps, ever further apart; the state is what the far taps still have to see."""

    name: Trunks = "tcn"
    width = CHANNELS
    warm_up = sum(DILATIONS)

    def __init__(self) -> None:
        self.near = [nn.Linear(FED if at == 0 else CHANNELS, CHANNELS) for at in range(len(DILATIONS))]
        self.far = [nn.Linear(FED if at == 0 else CHANNELS, CHANNELS, bias=False) for at in range(len(DILATIONS))]

    def parameters(self) -> list[Tensor]:
        return [each for layer in (*self.near, *self.far) for each in layer.parameters()]

    def sizes(self) -> list[tuple[int, int]]:
        """Of each layer's memory: steps and width."""
        return [(dilation, FED if at == 0 else CHANNELS) for at, dilation in enumerate(DILATIONS)]

    def start(self, series: int) -> Tensor:
        return torch.zeros(series, sum(steps * width for steps, width in self.sizes()))

    def run(self, fed: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        out, after, at = fed, [], 0
        for near, far, (dilation, width) in zip(self.near, self.far, self.sizes(), strict=True):
            memory = state[:, at : at + dilation * width].reshape(len(state), dilation, width)
            at += dilation * width
            longer = torch.cat([memory, out], dim=1)
            after.append(longer[:, -dilation:].reshape(len(state), -1))
            new = torch.relu(near(out) + far(longer[:, :-dilation]))
            out = new + out if width == CHANNELS else new
        return out, torch.cat(after, dim=1)


@dataclass(slots=True)
class Corrected:
    """What is said of each step: logits, and logs over the class's scale."""

    hazard: Tensor
    magnitude: Tensor
    demand: Tensor


class Network:
    def __init__(self, trunk: Trunk) -> None:
        self.trunk = trunk
        self.head = nn.Linear(trunk.width, sum(SIZES))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.scale = column_scale()

    def parameters(self) -> list[Tensor]:
        return [*self.trunk.parameters(), *self.head.parameters()]

    def run(self, x: Tensor, valid: Tensor, state: Tensor) -> tuple[Corrected, Tensor]:
        fed = torch.cat([x[..., :-1], valid[..., None]], dim=-1) * self.scale
        out, after = self.trunk.run(fed, state)
        hazard, magnitude, demand = self.head(out).split(SIZES, dim=-1)
        return Corrected(x[..., HAZARDS] + hazard, x[..., MAGNITUDES] + magnitude, x[..., DEMANDS] + demand), after


def fresh(name: Trunks) -> Network:
    return Network(Lstm() if name == "lstm" else Tcn())


def losses(said: Corrected, x: Tensor, came: Tensor, asked: Tensor, magnitude: Tensor, demand: Tensor) -> list[Tensor]:
    """Of each head, by step: log loss where an onset was possible, and pinball losses where there is an answer."""
    asked = asked * (x[..., HAZARDS] > IMPOSSIBLE)
    hazard = functional.binary_cross_entropy_with_logits(said.hazard, came, weight=asked, reduction="sum")
    return [
        hazard / asked.sum().clamp(min=1),
        _pinball(said.magnitude, magnitude[..., None], MAGNITUDE_LEVELS),
        _pinball(said.demand.unflatten(-1, (len(HORIZONS_S), -1)), demand[..., None], DEMAND_LEVELS),
    ]


def _pinball(said: Tensor, came: Tensor, levels: tuple[float, ...]) -> Tensor:
    known = ~torch.isnan(came)
    over = torch.where(known, came.nan_to_num() - said, 0.0)
    level = torch.tensor(levels)
    return torch.maximum(level * over, (level - 1) * over).sum() / known.sum().clamp(min=1)
