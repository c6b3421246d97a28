"""The dashboards' panels drawn by code from what a real Prometheus holds: queries, titles and units are those that
Grafana gets. Grafana itself cannot be had where these pictures were made."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator
from monitoring.dashboards import DASHBOARDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from monitoring.dashboards.shown import Shown

OF_LAB: Final = ("cluster", "node", "balancer", "forecast")
OF_FLEET: Final = ("operator",)
COLUMNS: Final = 3
CHOSEN: Final = {
    "$class": ".*",
    "$node": ".*",
    "$balancer": ".*",
    "$cluster": ".*",
    "$__rate_interval": "20s",
    "$interval": "20s",
}
UNITS: Final = {"Bps": "B/s", "bytes": "B", "s": "s"}
MOST_LINES: Final = 8

Series = list[tuple[str, list[tuple[float, float]]]]


def draw(name: str, prometheus: str, seconds: int, to: Path) -> None:
    """Panels in rows of three, numbers as large figures, everything else as lines."""
    mpl.use("Agg")
    panels = [panel for row in DASHBOARDS[name].rows for panel in row.panels]
    rows = -(-len(panels) // COLUMNS)
    plt.style.use("dark_background")
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(15, 2.6 * rows), squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, panel, _asked(panel, prometheus, seconds))
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    figure.suptitle(f"Sentinel: {DASHBOARDS[name].title}, drawn by code from a real Prometheus", fontsize=13)
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    figure.savefig(to, dpi=90)
    plt.close(figure)


def _asked(panel: Shown, prometheus: str, seconds: int) -> Series:
    found: Series = []
    for asked, legend in panel.queries:
        expr = asked
        for variable, value in CHOSEN.items():
            expr = expr.replace(variable, value)
        now = time.time()
        query = urllib.parse.urlencode({"query": expr, "start": now - seconds, "end": now, "step": 1})
        with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{query}", timeout=60) as said:  # noqa: S310
            for each in json.loads(said.read())["data"]["result"]:
                values = [(float(at) - now, float(value)) for at, value in each["values"]]
                found.append((_legend(legend, each["metric"]), values))
    return found


def _legend(template: str, labels: dict[str, Any]) -> str:
    text = template
    for label, value in labels.items():
        text = text.replace(f"{{{{{label}}}}}", str(value))
    return text


def _panel(axes: Axes, panel: Shown, series: Series) -> None:
    axes.set_title(panel.title, fontsize=10, loc="left")
    if not series:
        axes.text(0.5, 0.5, "nothing in this time", ha="center", va="center", color="0.6", transform=axes.transAxes)
        axes.axis("off")
        return
    if panel.kind == "number":
        axes.text(0.5, 0.45, _number(series[0][1][-1][1], panel.unit), ha="center", va="center", fontsize=24)
        axes.axis("off")
        return
    for legend, values in series[:MOST_LINES]:
        axes.plot([at for at, _ in values], [value for _, value in values], lw=1.2, label=legend)
    axes.yaxis.set_major_formatter(_axis(panel.unit))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel("seconds before now", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.2)
    _say_who(axes, series)


def _say_who(axes: Axes, series: Sequence[tuple[str, Any]]) -> None:
    if any(legend for legend, _ in series):
        axes.legend(fontsize=5, loc="upper left", framealpha=0.2, ncols=2)


def _number(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{100 * value:.2f} %"
    if unit in UNITS:
        return EngFormatter(UNITS[unit], places=1)(value)
    return f"{value:,.3g}"


def _axis(unit: str) -> Any:
    if unit == "percentunit":
        return FuncFormatter(lambda value, _: f"{100 * value:.3g} %")
    if unit in ("Bps", "bytes", "s"):
        return EngFormatter(UNITS[unit], places=1)
    return FuncFormatter(lambda value, _: f"{value:,.3g}")
