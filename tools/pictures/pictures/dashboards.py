"""The dashboards drawn by code from what a real Prometheus holds: queries, rows, titles, texts and units are those that
Grafana gets. Grafana itself cannot be had where these pictures were made."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator
from monitoring.dashboards import DASHBOARDS
from monitoring.dashboards.shown import ONE_BY_ONE, WIDE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from monitoring.dashboards.shown import Dashboard, Row, Shown

OF_LAB: Final = ("cluster", "node", "balancer", "forecast")
OF_FLEET: Final = ("operator",)
WINDOWS: Final = {"$__rate_interval": "20s", "$interval": "20s"}
UNITS: Final = {"Bps": "B/s", "bytes": "B", "s": "s"}
RATES: Final = {"pps": "packets/s", "reqps": "requests/s", "ops": "/s"}
MOST_LINES: Final = 8
LEGEND_COLUMNS: Final = 3
CHARACTERS: Final = 190  # of the small text, over the whole width
INCHES_WIDE, HEAD, NUMBER, LINES = 13.0, 0.32, 0.95, 2.75
PAGE, CARD, FAINT, GRID = "#111217", "#1a1d23", "#9aa0aa", "#343842"
COLOURS: Final = ("#73bf69", "#5794f2", "#f2cc0c", "#ff7383", "#b877d9", "#ff9830", "#8ab8ff", "#c8f2c2")
MARKS: Final = {"foreseen": "#73bf69", "unforeseen": "#ff9830"}

Series = list[tuple[str, list[tuple[float, float]]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A Prometheus, how far back it is asked, and what is chosen of the board's choices."""

    prometheus: str
    seconds: int
    chosen: dict[str, str]

    def series(self, queries: Sequence[tuple[str, str]]) -> Series:
        found: Series = []
        for expr, legend in queries:
            now = time.time()
            wanted = {"query": self._filled(expr), "start": now - self.seconds, "end": now, "step": 1}
            for each in self._answer("query_range", wanted):
                values = [(float(at) - now, float(value)) for at, value in each["values"]]
                found.append((_legend(self._brief(legend), each["metric"]), values))
        return found

    def first(self, choice: str) -> str:
        """Of `label_values(metric, label)`: what Grafana begins with."""
        metric, label = re.fullmatch(r"label_values\((.+), *(\w+)\)", choice).groups()  # type: ignore[union-attr]
        answer = self._answer("query", {"query": f"group by ({label}) ({self._filled(metric)})"})
        return min((str(each["metric"][label]) for each in answer), default=".*")

    def _brief(self, legend: str) -> str:
        """Of a board that shows one node, the title names it."""
        alone = any(value != ".*" for value in self.chosen.values())
        return legend.replace("{{instance}}", "").strip() if alone else legend

    def _filled(self, expr: str) -> str:
        for variable, value in (self.chosen | WINDOWS).items():
            expr = expr.replace(variable, value)
        return expr

    def _answer(self, kind: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode(wanted)
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/{kind}?{query}", timeout=60) as said:  # noqa: S310
            result: list[dict[str, Any]] = json.loads(said.read())["data"]["result"]
        return result


def draw(name: str, prometheus: str, seconds: int, to: Path) -> None:
    """As the board has them: rows with their heads, numbers as large figures, everything else as lines."""
    mpl.use("Agg")
    plt.rcParams.update({"text.color": "white", "font.size": 8, "axes.prop_cycle": plt.cycler(color=COLOURS)})
    board = DASHBOARDS[name]
    asked = Asked(prometheus, seconds, dict.fromkeys((f"${each}" for each in board.choices), ".*"))
    for choice in board.choices.keys() & ONE_BY_ONE:
        asked.chosen[f"${choice}"] = asked.first(board.choices[choice])
    lines = [line for row in board.rows for line in _lines_of(row)]
    shown = {panel: asked.series(panel.queries) for row in board.rows for panel in row.panels}
    heights = [_height(line, shown) for line in lines]
    figure = plt.figure(figsize=(INCHES_WIDE, sum(heights) + 0.5), facecolor=PAGE)
    grid = figure.add_gridspec(
        len(lines), WIDE, height_ratios=heights, left=0.008, right=0.992, bottom=0.004,
        top=1 - 0.45 / (sum(heights) + 0.5), hspace=0.0, wspace=0.0,
    )  # fmt: skip
    marks = asked.series(board.marks)
    for number, line in enumerate(lines):
        if isinstance(line, str):
            figure.add_subplot(grid[number, :]).set_axis_off()
            _head(figure.axes[-1], line)
            continue
        at = 0
        for panel in line:
            _panel(figure, grid[number, at : at + panel.width], panel, shown[panel], asked.seconds, marks)
            at += panel.width
    figure.text(0.012, 1 - 0.16 / (sum(heights) + 0.5), _title(board, asked), fontsize=12, weight="bold", va="top")
    figure.savefig(to, dpi=90, facecolor=PAGE)
    plt.close(figure)


def _title(board: Dashboard, asked: Asked) -> str:
    one = [f"{each[1:]} {value}" for each, value in asked.chosen.items() if value != ".*"]
    return f"Sentinel / {board.title}{''.join(f', {each}' for each in one)} (drawn by code from a real Prometheus)"


def _lines_of(row: Row) -> Iterator[str | list[Shown]]:
    """The row's head, then its panels, as many beside each other as the width has room for."""
    yield row.title
    line: list[Shown] = []
    for panel in row.panels:
        if sum(each.width for each in (*line, panel)) > WIDE:
            yield line
            line = []
        line.append(panel)
    yield line


def _height(line: str | list[Shown], shown: dict[Shown, Series]) -> float:
    """Where there is nothing to draw a sentence says why, and needs little room."""
    if isinstance(line, str):
        return HEAD
    return LINES if any(panel.kind != "number" and shown[panel] for panel in line) else NUMBER


def _brief(panel: Shown) -> str:
    """Grafana shows the whole text when it is pointed at; here as many sentences as a line holds."""
    most, text = CHARACTERS * panel.width // WIDE, ""
    for sentence in re.split(r"(?<=[.:;]) ", panel.text):
        if len(text) + len(sentence) > most:
            break
        text += f"{sentence} "
    return text.rstrip(" :;")


def _head(axes: Axes, title: str) -> None:
    axes.text(0.004, 0.3, title, fontsize=10, color=FAINT, weight="bold", transform=axes.transAxes)


def _panel(figure: Figure, place: Any, panel: Shown, series: Series, seconds: int, marks: Series) -> None:
    """Title and text above, lines in the middle, and below them who is who."""
    box = place.get_position(figure)
    wide, high = figure.get_size_inches()
    left, pad = box.x0, 0.06
    card = mpl.patches.Rectangle(
        (left + pad / wide, box.y0 + pad / high), box.width - 2 * pad / wide, box.height - 2 * pad / high,
        transform=figure.transFigure, facecolor=CARD, edgecolor="none", zorder=-1,
    )  # fmt: skip
    figure.add_artist(card)
    top = box.y1 - 0.13 / high
    figure.text(left + 0.17 / wide, top, panel.title, fontsize=9, weight="bold", va="top")
    middle = left + box.width / 2
    if panel.kind == "number":
        said = _number(series[0][1][-1][1], panel.unit) if series else "none"
        figure.text(middle, box.y0 + 0.16 / high, said, fontsize=19, ha="center", color=COLOURS[0])
        return
    figure.text(left + 0.17 / wide, top - 0.19 / high, _brief(panel), fontsize=7, color=FAINT, va="top")
    if not series:
        said = panel.idle or "Nothing in this time."
        figure.text(middle, box.y0 + box.height / 2 - 0.25 / high, said, fontsize=8, ha="center", color=FAINT)
        return
    lines = 0 if panel.kind == "heat" else min(len(series), MOST_LINES)
    legend_high = 0.17 * -(-lines // LEGEND_COLUMNS) + 0.12
    below = (legend_high + 0.32) / high
    axes = figure.add_axes(
        (left + 0.75 / wide, box.y0 + below, box.width - 1.0 / wide, box.height - below - 0.62 / high), facecolor=CARD
    )
    if panel.kind == "heat":
        _heat(axes, series)
        _timed(axes, seconds)
        axes.grid(visible=False)
        return
    _curves(axes, panel, series[:MOST_LINES])
    _mark(axes, marks)
    _scaled(axes, panel, series, seconds)
    inner = axes.get_position().transformed(mpl.transforms.Affine2D().scale(wide, high))
    axes.legend(
        loc="upper left", bbox_to_anchor=(-0.5 / inner.width, -0.32 / inner.height), ncols=LEGEND_COLUMNS,
        fontsize=7, frameon=False, borderaxespad=0, labelcolor="white", columnspacing=1.2, handlelength=1.2,
    )  # fmt: skip


def _curves(axes: Axes, panel: Shown, series: Series) -> None:
    times = sorted({at for _, values in series for at, _ in values})
    if panel.kind == "areas":
        rows = [dict(values) for _, values in series]
        shown = [[row.get(at, 0.0) for at in times] for row in rows]
        axes.stackplot(times, shown, labels=[legend or panel.title for legend, _ in series], alpha=0.7, lw=0)
        return
    if panel.band is not None:
        _band(axes, *(dict(dict(series).get(legend, ())) for legend in panel.band))
    for legend, values in series:
        axes.plot([at for at, _ in values], [value for _, value in values], lw=1.3, label=legend or panel.title)


def _band(axes: Axes, upper: dict[float, float], lower: dict[float, float]) -> None:
    at = sorted(upper.keys() & lower.keys())
    axes.fill_between(
        at, [lower[each] for each in at], [upper[each] for each in at], alpha=0.15, lw=0, color=COLOURS[2]
    )


def _heat(axes: Axes, series: Series) -> None:
    """A row a bucket, named by its upper bound; darker is fewer, and the page's colour is none."""
    by_bound = sorted((float(legend), dict(values)) for legend, values in series)
    times = sorted({at for _, values in by_bound for at in values})
    upto = np.array([[values.get(at, 0.0) for at in times] for _, values in by_bound])
    counts = np.diff(upto, axis=0, prepend=0.0)
    seen = np.ma.masked_less(counts, 0.5)
    axes.pcolormesh(
        times, range(len(by_bound)), seen, cmap="inferno", norm=mpl.colors.LogNorm(vmin=0.5), shading="nearest"
    )
    axes.set_yticks(range(len(by_bound)), [_bound(bound) for bound, _ in by_bound])


def _bound(seconds: float) -> str:
    return "more" if seconds == float("inf") else f"≤ {EngFormatter('s', places=0)(seconds)}"


def _mark(axes: Axes, marks: Series) -> None:
    """Bursts that were foreseen or not, as the board marks them."""
    for name, values in marks:
        colour = MARKS.get(name.rsplit(" ", 1)[-1], COLOURS[3])
        begun = [at for (before, _), (at, _) in zip([(-1e9, 0.0), *values], values, strict=False) if at - before > 2]
        for at in begun:
            axes.axvline(at, color=colour, lw=0.8, ls="--", alpha=0.6)


def _scaled(axes: Axes, panel: Shown, series: Series, seconds: int) -> None:
    most = max((value for _, values in series for _, value in values), default=0.0)
    least = min((value for _, values in series for _, value in values), default=0.0)
    if panel.kind != "balance" or not least < 0:
        axes.set_ylim(0, None if most else 1.0)
    axes.yaxis.set_major_formatter(_axis(panel.unit))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    _timed(axes, seconds)
    unit = RATES.get(panel.unit, "")
    axes.set_ylabel(unit, fontsize=7, color=FAINT)
    if not most and not least:
        axes.text(0.5, 0.5, "0 all the time", ha="center", color=FAINT, transform=axes.transAxes)


def _timed(axes: Axes, seconds: int) -> None:
    axes.set_xlim(-seconds, 0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:.0f} s" if at else "now"))
    axes.tick_params(labelsize=7, colors=FAINT, length=0)
    axes.grid(color=GRID, lw=0.6)
    for side in axes.spines.values():
        side.set_visible(False)


def _legend(template: str, labels: dict[str, Any]) -> str:
    text = template
    for label, value in labels.items():
        text = text.replace(f"{{{{{label}}}}}", str(value))
    return text


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
    return FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 100 else f"{value:.3g}")
