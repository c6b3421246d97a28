"""The two-panel plot: what was dropped, and how large the buffer was meanwhile, with the bursts shaded."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # before pyplot: no display is needed

from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from sentinel_lab.experiment import Run

BIN_S = 0.1
MIB = 1 << 20
BURST_COLOUR = "#f3e3b3"
COLOURS = ("#1b6ca8", "#c8553d", "#5a9367", "#7d5ba6", "#555555")
DROPPED_COLOUR = "#b3261e"
DROPPED, GRANTED = "packets dropped", "granted (the limit)"
INCHES = (10.0, 6.0)


def two_panels(runs: Sequence[Run], title: str) -> bytes:
    """PNG of runs over the same schedule; the bursts are those of the first."""
    figure, (above, below) = plt.subplots(2, 1, figsize=INCHES, sharex=True, layout="constrained")
    try:
        for axes in (above, below):
            _shade(axes, runs[0].bursts)
            axes.set_axisbelow(True)
            axes.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
        for run, colour in zip(runs, COLOURS, strict=False):
            alone = len(runs) == 1
            name = f"{run.plan.policy}: {run.bursty.dropped:,} of {run.bursty.sent:,} dropped"
            _drops(above, run, colour if not alone else DROPPED_COLOUR, DROPPED if alone else name)
            _sizes(below, run, colour, GRANTED if alone else name)
        above.set_ylabel(f"packets dropped\nper {BIN_S * 1000:.0f} ms")
        above.set_ylim(0, max(1.0, above.get_ylim()[1]))  # no drop at all must not look like an axis of fractions
        above.yaxis.set_major_locator(MaxNLocator(integer=True))
        below.set_ylabel("buffer size (MiB)")
        below.set_ylim(bottom=0)
        below.set_xlim(0, max(run.plan.seconds for run in runs))
        below.set_xlabel("seconds")
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
        figure.legend(*_legend((above, below)), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=130)
        return image.getvalue()
    finally:
        plt.close(figure)


def _shade(axes: Axes, bursts: Sequence[tuple[float, float]]) -> None:
    for index, (start, end) in enumerate(bursts):
        axes.axvspan(start, end, color=BURST_COLOUR, linewidth=0, label="burst" if index == 0 else None, zorder=0)


def _drops(axes: Axes, run: Run, colour: str, name: str) -> None:
    """Counted at the tick that saw them: spreading them back in time would show drops before their burst."""
    bursty = run.plan.scenario.bursty.id
    at = run.history.seconds(bursty, run.start_ns)
    dropped = np.diff(run.history.series(bursty, "drops"), prepend=0)
    edges = np.arange(0, run.plan.seconds + BIN_S, BIN_S)
    counts, _ = np.histogram(at, bins=edges, weights=dropped)
    axes.stairs(counts, edges, color=colour, linewidth=1.3, fill=True, alpha=0.35)
    axes.stairs(counts, edges, color=colour, linewidth=1.3, label=name)


def _sizes(axes: Axes, run: Run, colour: str, name: str) -> None:
    bursty = run.plan.scenario.bursty.id
    at = run.history.seconds(bursty, run.start_ns)
    limit = run.history.series(bursty, "limit_bytes") / MIB
    axes.step(at, limit, where="post", color=colour, linewidth=1.5, label=name)
    if name == GRANTED:
        backlog = run.history.series(bursty, "backlog_bytes") / MIB
        axes.fill_between(at, backlog, color=colour, alpha=0.35, linewidth=0, label="held in the queue")


def _legend(panels: Sequence[Axes]) -> tuple[list[object], list[str]]:
    entries: dict[str, object] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        entries |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in entries}
    return list(entries.values()), list(entries)
