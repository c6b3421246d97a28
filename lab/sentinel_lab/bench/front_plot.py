"""The front between drops, delay and memory: a panel a pattern, a point a policy, its size what it held."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot: no display is needed

from matplotlib import pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from sentinel_lab.bench.front_figures import averaged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

STYLE = {
    "static-small": ("#999999", "s"),
    "static-large": ("#555555", "s"),
    "dynamic-threshold": ("#8d6e3f", "D"),
    "reactive-1s": ("#e8a598", "o"),
    "reactive-100ms": ("#d9715a", "o"),
    "reactive-10ms": ("#a63a22", "o"),
    "threshold": ("#7d5ba6", "v"),
    "oracle": ("#2d7d46", "P"),
    "predictive": ("#1b6ca8", "*"),
}
"""Wrong forecasts are left out: they are there to be safe, not to be compared."""
COLUMNS = 3
LEAST_PERCENT = 0.01
AREA_PER_MIB = 260.0
LEAST_AREA, MOST_AREA = 80.0, 700.0
LEAST_INCHES = 9.0
DELAYS_MS = (3, 10, 30, 100, 300, 1000, 3000)


def drawn(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of the rows that were not swept, averaged over seeds."""
    plain = [each for each in rows if not each.get("swept")]
    patterns = list(dict.fromkeys(each["pattern"] for each in plain))
    columns = min(COLUMNS, len(patterns))
    lines = -(-len(patterns) // columns)
    figure, panels = plt.subplots(
        lines,
        columns,
        figsize=(max(LEAST_INCHES, 4.4 * columns), 3.5 * lines + 1.2),
        squeeze=False,
        layout="constrained",
    )
    try:
        for axes in panels.flat[len(patterns) :]:
            axes.set_visible(False)
        for axes, pattern in zip(panels.flat, patterns, strict=False):
            _panel(axes, pattern, [each for each in plain if each["pattern"] == pattern])
        figure.suptitle(
            "Dropped against delayed: down and left is better, a larger mark held more memory", x=0.01, ha="left"
        )
        figure.legend(*_legend(panels.flat), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=130)
        return image.getvalue()
    finally:
        plt.close(figure)


def _panel(axes: Axes, pattern: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for policy, (colour, marker) in STYLE.items():
        mine = [each for each in rows if each["policy"] == policy]
        if not mine:
            continue
        point = averaged(mine)
        area = min(MOST_AREA, max(LEAST_AREA, AREA_PER_MIB * point["held_bytes_mean"] / (1 << 20)))
        axes.scatter(
            max(point["sojourn_ms_p99"], 0.1), max(point["drop_percent"], LEAST_PERCENT), s=area, c=colour,
            marker=marker, label=policy, alpha=0.7, edgecolors="white", linewidths=0.8,
        )  # fmt: skip
    axes.set_title(pattern, loc="left", fontsize=11)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(LEAST_PERCENT * 0.6, 100)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.set_xlim(2, 8_000)
    axes.xaxis.set_major_locator(FixedLocator(DELAYS_MS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("time in the queue, p99 (ms)", fontsize=9)
    axes.set_ylabel("dropped", fontsize=9)
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _percent(value: float, _: object) -> str:
    return f"≤ {LEAST_PERCENT:g} %" if value <= LEAST_PERCENT * 1.01 else f"{value:g} %"


def _legend(panels: Any) -> tuple[list[object], list[str]]:
    """Marks of one size, whatever they stand for in the panels."""
    entries: dict[str, object] = {}
    for axes in panels:
        for label in axes.get_legend_handles_labels()[1]:
            colour, marker = STYLE[label]
            entries[label] = plt.Line2D([], [], color=colour, marker=marker, linestyle="", markersize=9)
    return list(entries.values()), list(entries)
