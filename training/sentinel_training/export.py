"""A trained network as ONNX, node by node: one step a call, so the graph is small and says only what the contract asks.

Written by hand because a tracer's graph of a recurrent layer is a loop over time, which serving never needs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from sentinel_api.records import HORIZONS_S
from sentinel_core.inputs import COLUMNS, DEMANDS, DIGEST, FLOORS, HAZARDS, IMPOSSIBLE, MAGNITUDES
from sentinel_core.signature import DEMAND_LEVELS, HAZARD_BINS, MAGNITUDE_LEVELS
from sentinel_training.network import CHANNELS, LAYERS, SIZES, WIDTH, Lstm, Tcn

if TYPE_CHECKING:
    from pathlib import Path

    from sentinel_training.network import Network

OPSET: Final = 17
IR: Final = 8
"""What ONNX Runtime has read for years."""
MOST: Final = 40.0
"""No log of bytes is larger; beyond it float32 would overflow."""
DIGEST_KEY: Final = "inputs_digest"


@dataclass(frozen=True, slots=True)
class Finish:
    """What validation decided: a calibration of the logits, which heads are better than the learners, and by how much
    the logs of sizes are shifted so that they cover what they say."""

    slope: float = 1.0
    shift: float = 0.0
    kept: tuple[bool, bool, bool] = (True, True, True)
    sizes: tuple[float, ...] = (0.0,) * len(MAGNITUDE_LEVELS)


class _Graph:
    """Names and constants are made as they are needed."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def value(self, array: Any, kind: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, kind), name))
        return name

    def add(self, kind: str, *inputs: str, out: str | None = None, outputs: int = 1, **settings: Any) -> Any:
        name = out or f"v{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **settings))
        return name if outputs == 1 else names

    def columns(self, source: str, part: slice) -> str:
        start, stop, axis = (self.value([at], np.int64) for at in (part.start, part.stop, 1))
        found: str = self.add("Slice", source, start, stop, axis)
        return found

    def linear(self, source: str, layer: Any) -> str:
        weight = self.value(_plain(layer.weight).T)
        product: str = self.add("MatMul", source, weight)
        if layer.bias is None:
            return product
        found: str = self.add("Add", product, self.value(_plain(layer.bias)))
        return found


def write(net: Network, finish: Finish, path: Path) -> None:
    graph = _Graph()
    one = graph.value([1], np.int64)
    valid = graph.add("Unsqueeze", "valid", one)
    fed = graph.add("Concat", graph.columns("x", slice(0, len(COLUMNS) - 1)), valid, axis=1)
    fed = graph.add("Mul", fed, graph.value(net.scale.numpy()))
    trunk: Any = net.trunk
    out, width = _lstm(graph, trunk, fed) if isinstance(trunk, Lstm) else _tcn(graph, trunk, fed)
    _heads(graph, net, finish, out)
    classes = "C"
    io = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            trunk.name,
            [
                io("x", TensorProto.FLOAT, [classes, len(COLUMNS)]),
                io("valid", TensorProto.FLOAT, [classes]),
                io("state", TensorProto.FLOAT, [classes, width]),
            ],
            [
                io("hazard", TensorProto.FLOAT, [classes, HAZARD_BINS]),
                io("magnitude_bytes", TensorProto.FLOAT, [classes, len(MAGNITUDE_LEVELS)]),
                io("demand", TensorProto.FLOAT, [classes, len(HORIZONS_S), len(DEMAND_LEVELS)]),
                io("next_state", TensorProto.FLOAT, [classes, width]),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
    )
    helper.set_model_props(model, {DIGEST_KEY: DIGEST})
    checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _plain(tensor: Any) -> Any:
    return tensor.detach().numpy()


def _lstm(graph: _Graph, trunk: Lstm, fed: str) -> tuple[str, int]:
    """Gates are input, forget, cell, output in training and input, output, forget, cell in ONNX."""
    first = graph.value([0], np.int64)
    parts = graph.add("Split", "state", axis=1, outputs=2 * LAYERS)
    out = graph.add("Unsqueeze", fed, first)
    hidden, cells = [], []
    order = np.concatenate([np.arange(WIDTH) + gate * WIDTH for gate in (0, 3, 1, 2)])
    for layer in range(LAYERS):
        names = [f"{kind}_l{layer}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        own, back, bias, bias_back = (_plain(getattr(trunk.layers, name)) for name in names)
        both = np.concatenate([bias[order], bias_back[order]])
        weights = [graph.value(each[None]) for each in (own[order], back[order], both)]
        before = [graph.add("Unsqueeze", part, first) for part in (parts[layer], parts[LAYERS + layer])]
        _, last, cell = graph.add("LSTM", out, *weights, "", *before, outputs=3, hidden_size=WIDTH)
        out = last
        hidden.append(graph.add("Squeeze", last, first))
        cells.append(graph.add("Squeeze", cell, first))
    graph.add("Concat", *hidden, *cells, out="next_state", axis=1)
    return hidden[-1], 2 * LAYERS * WIDTH


def _tcn(graph: _Graph, trunk: Tcn, fed: str) -> tuple[str, int]:
    out, at, after = fed, 0, []
    for near, far, (dilation, width) in zip(trunk.near, trunk.far, trunk.sizes(), strict=True):
        memory = graph.columns("state", slice(at, at + dilation * width))
        at += dilation * width
        oldest = graph.columns(memory, slice(0, width))
        longer = graph.add("Concat", memory, out, axis=1)
        after.append(graph.columns(longer, slice(width, (dilation + 1) * width)))
        summed = graph.add("Add", graph.linear(out, near), graph.linear(oldest, far))
        new = graph.add("Relu", summed)
        out = graph.add("Add", new, out) if width == CHANNELS else new
    graph.add("Concat", *after, out="next_state", axis=1)
    return out, at


def _heads(graph: _Graph, net: Network, finish: Finish, out: str) -> None:
    """A head that validation did not keep adds nothing, so the learners' own answer leaves as it came."""
    kept = np.repeat(np.array(finish.kept, np.float32), SIZES)
    corrections = graph.add("Mul", graph.linear(out, net.head), graph.value(kept))
    ends = np.cumsum((0, *SIZES))
    added = [graph.columns(corrections, slice(int(a), int(b))) for a, b in itertools.pairwise(ends)]
    logit = graph.add("Add", graph.columns("x", HAZARDS), added[0])
    if finish.kept[0]:
        logit = graph.add("Mul", logit, graph.value(finish.slope))
        logit = graph.add("Add", logit, graph.value(finish.shift))
    chance = graph.add("Sigmoid", logit)
    possible = graph.add("Greater", graph.columns("x", HAZARDS), graph.value(IMPOSSIBLE))
    graph.add("Mul", chance, graph.add("Cast", possible, to=TensorProto.FLOAT), out="hazard")
    scale = graph.columns("x", slice(len(COLUMNS) - 1, len(COLUMNS)))
    sizes = graph.value(np.array(finish.sizes if finish.kept[1] else [0.0]))
    _amount(graph, [graph.columns("x", MAGNITUDES), added[1], scale, sizes], 1.0, "magnitude_bytes")
    _amount(graph, [graph.columns("x", DEMANDS), added[2], scale], FLOORS[0], "demand_flat")
    shape = graph.value([0, len(HORIZONS_S), len(DEMAND_LEVELS)], np.int64)
    graph.add("Reshape", "demand_flat", shape, out="demand")


def _amount(graph: _Graph, logs: list[str], floor: float, out: str) -> None:
    summed = graph.add("Min", graph.add("Sum", *logs), graph.value(MOST))
    graph.add("Relu", graph.add("Sub", graph.add("Exp", summed), graph.value(floor)), out=out)
