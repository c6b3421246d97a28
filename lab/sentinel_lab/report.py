"""A report that is one file: figures, plot and the conditions they were measured under."""

from __future__ import annotations

import base64
import html
import os
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel_lab.experiment import Run
    from sentinel_lab.results import ClassResult

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid #ddd } th:first-child, td:first-child {
text-align: left } img { max-width: 100%; margin: 1rem 0 } .dirt { background: #fde8e4; padding: .6rem 1rem }
footer, .note { color: #666; font-size: .9rem }
"""
COLUMNS = (
    "class",
    "sent",
    "dropped",
    "dropped %",
    "delay mean ms",
    "delay p99 ms",
    "in queue p99 ms",
    "granted mean KiB",
    "held mean KiB",
    "held peak KiB",
)


def machine() -> dict[str, str]:
    return {
        "kernel": platform.release(),
        "cpus": str(os.cpu_count()),
        "python": platform.python_version(),
        "date": datetime.now(tz=UTC).isoformat(timespec="seconds"),
    }


def row(each: ClassResult) -> tuple[str, ...]:
    return (
        each.name,
        f"{each.sent:,}",
        f"{each.dropped:,}",
        f"{each.drop_percent:.2f}",
        f"{each.delay_ms_mean:.1f}",
        f"{each.delay_ms_p99:.1f}",
        f"{each.sojourn_ms_p99:.1f}",
        f"{each.granted_bytes_mean / 1024:,.0f}",
        f"{each.held_bytes_mean / 1024:,.0f}",
        f"{each.held_bytes_peak / 1024:,.0f}",
    )


def sentence(run: Run) -> str:
    """What a stranger should take away."""
    mine, plan = run.bursty, run.plan
    return (
        f"{plan.pattern} traffic for {plan.seconds:g} s under {plan.policy}: {mine.dropped:,} of {mine.sent:,} "
        f"packets dropped ({mine.drop_percent:.2f} %), delay {mine.delay_ms_mean:.0f} ms on average and "
        f"{mine.delay_ms_p99:.0f} ms at the 99th percentile, with {mine.granted_bytes_mean / 1024:,.0f} KiB granted "
        f"and {mine.held_bytes_mean / 1024:,.0f} KiB really held on average."
        + (f" It remembered {plan.past_s:g} s of such traffic." if plan.past_s else "")
    )


def page(run: Run, picture: bytes) -> str:
    encoded = base64.b64encode(picture).decode()
    dirt = "".join(f"<li>{html.escape(each)}</li>" for each in run.dirt)
    warning = f'<div class="dirt">Do not quote these figures:<ul>{dirt}</ul></div>' if dirt else ""
    scenario = run.plan.scenario
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sentinel: {html.escape(run.plan.pattern)}</title><style>{STYLE}</style>
<h1>{run.who}, {html.escape(run.plan.pattern)} traffic, {html.escape(run.plan.policy)}</h1>
<p>{html.escape(sentence(run))}</p>{warning}
<img alt="Drops and buffer size against time" src="data:image/png;base64,{encoded}">
{_table([row(each) for each in run.classes])}
<p class="note">Granted is the limit the class was given, held is what really stood in the queue. {_clock(run)}
The queue empties at {scenario.drain_bytes_per_s * 8 / 1e6:.0f} Mbit/s; limits lie between
{scenario.floor_bytes // 1024:,} and {scenario.pool_bytes // 1024:,} KiB.</p>
<footer>{html.escape(", ".join(f"{name} {value}" for name, value in machine().items()))}, seed {run.plan.seed}</footer>
</html>
"""


def _clock(run: Run) -> str:
    if run.simulated:
        return "Nothing was sent: this was worked out in virtual time, and delay is the time in the queue alone."
    return "Delay is measured between the two end points, time in the queue by the kernel."


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{html.escape(each)}</th>" for each in COLUMNS)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in each) + "</tr>" for each in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
