"""What boards ask of Prometheus, as tests ask it: with variables filled in, and no answer that is not a number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from monitoring.dashboards import DASHBOARDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitoring.dashboards.shown import Shown

CHOSEN: Final = {"$class": ".*", "$node": ".*", "$balancer": ".*", "$cluster": ".*", "$__rate_interval": "20s"}
FORESEEN: Final = ("Precision", "Recall", "Lead time", "Brier score")
"""Panels that have nothing to show before a forecast was judged; a lab of seconds judges none."""
SCALED: Final = ("Number of nodes",)
"""Panels of an operator's, on a board about agents."""
AGO: Final = " offset 1m"


def panels(*boards: str) -> Iterator[tuple[str, Shown]]:
    for board in boards:
        for row in DASHBOARDS[board].rows:
            yield from ((board, panel) for panel in row.panels)


def filled(expr: str) -> str:
    for variable, value in CHOSEN.items():
        expr = expr.replace(variable, value)
    return expr


def to_show(expr: str) -> str:
    """Of its answer, what can be drawn: nought by nought is none."""
    return f"({filled(expr)}) >= -Inf"


def offered(*boards: str) -> Iterator[str]:
    """What each choice of a board is filled from, as a query."""
    for board in boards:
        for choice in DASHBOARDS[board].choices.values():
            found = re.fullmatch(r"label_values\((.+), *(\w+)\)", choice)
            assert found is not None, choice
            yield filled(f"group by ({found[2]}) ({found[1]})")
