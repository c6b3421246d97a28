"""The fronts: node-hours against seconds of overload, a panel a trace; lower left is better."""

from __future__ import annotations

import io
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from matplotlib import pyplot as plt

from sentinel_lab.plots import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

FRONTS: Final = {"predictive": COLOURS[0], "hpa": COLOURS[1], "hpa_quick": COLOURS[2]}
OTHERS: Final = {
    "predictive_patient": "o",
    "hpa_plus_30": "s",
    "linear": "^",
    "holt_winters": "v",
    "static": "D",
    "oracle": "*",
}
NAMES: Final = {
    "predictive": "predictive (headroom 0 to 80 %)",
    "hpa": "HPA rule (headroom 0 to 80 %)",
    "hpa_quick": "HPA rule, down after 60 s",
    "predictive_patient": "predictive, down after 300 s",
    "hpa_plus_30": "HPA rule + 30 %",
    "linear": "linear",
    "holt_winters": "Holt-Winters",
    "static": "static peak",
    "oracle": "oracle",
}
COLUMNS: Final = 3
PANEL_INCHES: Final = (4.2, 3.4)
GREY: Final = "#555555"


def front(rows: Sequence[dict[str, Any]]) -> bytes:
    """PNG."""
    traces = list(dict.fromkeys(row["trace"] for row in rows))
    lines, columns = ceil(len(traces) / COLUMNS), min(COLUMNS, len(traces))
    size = (PANEL_INCHES[0] * columns, PANEL_INCHES[1] * lines + 0.6)
    figure, panels = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    try:
        for panel, trace in zip(panels.flat, traces, strict=False):
            _draw(panel, trace, [row for row in rows if row["trace"] == trace])
        for panel in panels.flat[len(traces) :]:
            panel.set_visible(False)
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, 2 * columns), frameon=False, fontsize=8)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=120)
        return image.getvalue()
    finally:
        plt.close(figure)


def _draw(panel: Axes, trace: str, rows: Sequence[dict[str, Any]]) -> None:
    for name, colour in FRONTS.items():
        chosen = [row for row in rows if row["policy"].partition("@")[0] == name]
        points = sorted((row["node_hours"], row["overload_s"]) for row in chosen)
        panel.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=4, label=NAMES[name])
    for name, marker in OTHERS.items():
        row = next(row for row in rows if row["policy"] == name)
        at = (row["node_hours"], row["overload_s"])
        panel.scatter(*at, marker=marker, s=36, facecolors="none", edgecolors=GREY, label=NAMES[name])
    panel.set_title(trace, fontsize=10, loc="left")
    panel.set_yscale("symlog", linthresh=10)
    panel.set_ylim(bottom=-1)
    panel.set_xlabel("node-hours", fontsize=8)
    panel.set_ylabel("overload (s)", fontsize=8)
    panel.tick_params(labelsize=8)
    panel.grid(visible=True, color="#dddddd", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
