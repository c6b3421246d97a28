"""What an ONNX model must look like from outside, so that any model that does can take another's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES, HORIZONS_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HAZARD_BINS: Final = 10
"""One-second bins: bin k is the chance of an onset in [k, k+1) s, given none before."""

MAGNITUDE_LEVELS: Final = (0.1, 0.5, 0.9)
DEMAND_LEVELS: Final = (0.1, 0.5, 0.95)

_Side = dict[str, tuple[str | int, ...]]

INPUTS: Final[_Side] = {"x": ("C", "F"), "valid": ("C",), "state": ("C", "S")}
OUTPUTS: Final[_Side] = {
    "hazard": ("C", HAZARD_BINS),
    "magnitude_bytes": ("C", len(MAGNITUDE_LEVELS)),
    "demand": ("C", len(HORIZONS_S), len(DEMAND_LEVELS)),
    # Not "state" again: an ONNX graph may not give an input and an output one name.
    "next_state": ("C", "S"),
}
"""Letters are sizes that the model chooses (F features, S state) or that are left open or 16 (C classes)."""

ELEMENT: Final = "tensor(float)"
"""All tensors are float32, as ONNX Runtime spells it; `valid` is 0 or 1."""


class Port(Protocol):
    """An input or output as ONNX Runtime describes it."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> Sequence[int | str | None]: ...
    @property
    def type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Widths:
    """The two sizes that a model may choose."""

    features: int
    state: int


def check(inputs: Iterable[Port], outputs: Iterable[Port]) -> Widths:
    """The model's sizes; raises `Invalid` with one sentence on the first thing that differs."""
    sizes: dict[str, int] = {"C": CLASSES}
    _check_side("input", {port.name: port for port in inputs}, INPUTS, sizes)
    _check_side("output", {port.name: port for port in outputs}, OUTPUTS, sizes)
    return Widths(features=sizes["F"], state=sizes["S"])


def _check_side(side: str, found: dict[str, Port], wanted: _Side, sizes: dict[str, int]) -> None:
    """`sizes` learns the letters as they are met, so that the state must leave as wide as it came."""
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing:
        raise Invalid(f"the model has no {side} {', '.join(missing)}: it must have {', '.join(wanted)}")
    if extra:
        raise Invalid(f"the model has {side} {', '.join(extra)} that nobody serves: it must have {', '.join(wanted)}")
    for name, shape in wanted.items():
        port = found[name]
        if port.type != ELEMENT:
            raise Invalid(f"{side} {name} of the model is {port.type}: it must be {ELEMENT}")
        if len(port.shape) != len(shape) or not all(map(_fits, port.shape, shape, [sizes] * len(shape))):
            raise Invalid(
                f"{side} {name} of the model has shape {_spelled(port.shape)}: it must be {_known(shape, sizes)}"
            )


def _fits(size: int | str | None, wanted: str | int, sizes: dict[str, int]) -> bool:
    if not isinstance(size, int):
        return wanted == "C"
    if isinstance(wanted, int):
        return size == wanted
    return size > 0 and sizes.setdefault(wanted, size) == size


def _spelled(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def _known(shape: tuple[str | int, ...], sizes: dict[str, int]) -> str:
    """The shape wanted, with what is already known of its letters; the number of classes may also stay open."""
    return (
        _spelled([size if size == "C" else sizes.get(str(size), size) for size in shape]) + f" with C open or {CLASSES}"
    )
