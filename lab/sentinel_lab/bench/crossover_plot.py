"""One picture of where prediction pays: traffic against actuator latency, the gain in each cell."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # before pyplot: no display is needed

from matplotlib import pyplot as plt
from matplotlib.colors import LinearSegmentedColormap

from sentinel_lab.sim.crossover import LATENCIES_S, PRICE, settled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

LABELS = ("10 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "30 s", "120 s")
ACTUATORS = ("kernel", "", "queue limit\n(agent)", "", "moved\nflows", "warm\npool", "pod", "node")
COLOURS = LinearSegmentedColormap.from_list("gain", ["#c8553d", "#f7f4ee", "#bcd9c2", "#2d7d46"])
LOWEST, HIGHEST = -0.35, 0.7
TOLD = {"product": "told by the product's forecasts", "oracle": "told by an oracle (the bound)"}
NOTE = (
    f"Cost: capacity held (share of peak) + {PRICE:g} times the share of traffic lost. Rules are tuned on the first"
    " half of the time and judged on the second.\nBold: nine tenths of the bootstrap lie on one side of zero."
    " 0: the first half gave no proof that what is told helps, so it is ignored."
    " ?: the halves differ too much to tell."
)


def drawn(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG; rows are those of the benchmark, of which the base price is shown."""
    subjects = list(dict.fromkeys(row["subject"] for row in rows))
    height = 2.3 + 0.36 * len(subjects)
    figure, panels = plt.subplots(1, 2, figsize=(13, height), sharey=True, layout="constrained")
    try:
        for axes, (source, title) in zip(panels, TOLD.items(), strict=True):
            chosen = [row for row in rows if row["source"] == source and row["price"] == PRICE]
            _panel(axes, subjects, chosen)
            axes.set_title(title, loc="left", fontsize=11)
        panels[0].set_yticks(range(len(subjects)), subjects, fontsize=9)
        figure.suptitle(
            "What foresight saves against the best reactive rule, in % of its cost, by how slow the actuator is",
            x=0.01, ha="left", fontsize=13,
        )  # fmt: skip
        figure.supxlabel(NOTE, x=0.01, ha="left", fontsize=9)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=130)
        return image.getvalue()
    finally:
        plt.close(figure)


def _panel(axes: Axes, subjects: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    gains = np.full((len(subjects), len(LATENCIES_S)), np.nan)
    for row in rows:
        at = subjects.index(row["subject"]), LATENCIES_S.index(row["latency_s"])
        if not settled(row["gain"], row["gain_in_hindsight"]):
            axes.text(at[1], at[0], "?", ha="center", va="center", fontsize=9, color="#999999")
            continue
        gains[at] = row["gain"]
        sure = row["low"] > 0 or row["high"] < 0
        dark = row["gain"] > 0.5
        axes.text(
            at[1], at[0], f"{100 * row['gain']:.0f}".replace("-0", "0"), ha="center", va="center", fontsize=9,
            fontweight="bold" if sure else "normal", color="white" if dark else "#222222",
        )  # fmt: skip
    scaled = np.where(gains >= 0, 0.34 + 0.66 * gains / HIGHEST, 0.34 - 0.34 * gains / LOWEST)
    axes.imshow(np.clip(scaled, 0, 1), cmap=COLOURS, vmin=0, vmax=1, aspect="auto")
    names = [f"{label}\n{actuator}" for label, actuator in zip(LABELS, ACTUATORS, strict=True)]
    axes.set_xticks(range(len(LABELS)), names, fontsize=8)
    axes.set_xlabel("actuator latency", fontsize=9)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
