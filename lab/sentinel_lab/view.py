"""The live terminal view of one node: throughput, drops, and the buffer as it grows and shrinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sentinel_lab.scenario import KIB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from sentinel_lab.experiment import Plan
    from sentinel_lab.history import History, Tick

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH = 56
WINDOW_NS = 12_000_000_000
RATE_NS = 500_000_000
EVENTS = 5
BAR = 28


def frame(
    plan: Plan,
    history: History,
    start_ns: int,
    what: str = "one node, real XDP, real queue",
    nodes: Mapping[str, History] | None = None,
) -> RenderableType:
    """Of one node, or of all together with a line for each."""
    ticks = history.of(plan.scenario.bursty.id)
    if not ticks:
        return Text("starting …")
    now = ticks[-1]
    elapsed = min(plan.seconds, max(0.0, (now.at_ns - start_ns) / 1e9))
    title = f"Sentinel · {what} · {plan.pattern} · {plan.policy}"
    forecast = history.forecast or next((each.forecast for each in (nodes or {}).values() if each.forecast), "")
    parts: list[RenderableType] = [_gauges(plan, ticks, forecast), Text(), _strip(plan, ticks)]
    parts += [Text(), _events(history, start_ns)]
    if nodes:
        parts[1:1] = [Text(), _each(plan, nodes)]
    return Panel(Group(*parts), title=title, title_align="left", subtitle=f"{elapsed:.0f} of {plan.seconds:g} s")


def _each(plan: Plan, nodes: Mapping[str, History]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("node", "packets/s", "dropped", "held KiB", "granted KiB"):
        table.add_column(head, justify="left" if head == "node" else "right")
    table.add_column("forecast", no_wrap=True)
    for name, history in nodes.items():
        ticks = history.of(plan.scenario.bursty.id)
        if ticks:
            now, before = ticks[-1], _ago(ticks, RATE_NS)
            rate = (now.arrived_packets - before.arrived_packets) / max(1e-3, (now.at_ns - before.at_ns) / 1e9)
            sizes = (f"{size // KIB:,}" for size in (now.backlog_bytes, now.limit_bytes))
            outlook = history.forecast.removeprefix("a ").partition(",")[0]
            table.add_row(name, f"{rate:,.0f}", f"{now.drops:,}", *sizes, Text(outlook, style="yellow"))
    return table


def _gauges(plan: Plan, ticks: Sequence[Tick], forecast: str) -> Table:
    now, before = ticks[-1], _ago(ticks, RATE_NS)
    seconds = max(1e-3, (now.at_ns - before.at_ns) / 1e9)
    pool = plan.scenario.pool_bytes
    granted, held = _share(now.limit_bytes, pool), _share(now.backlog_bytes, pool)
    bar = Text("█" * held, style="cyan") + Text("▒" * max(0, granted - held), style="blue")
    bar += Text("·" * (BAR - max(granted, held)), style="dim")
    drops = now.drops - before.drops
    table = Table.grid(padding=(0, 2))
    table.add_row("arriving", f"{(now.arrived_packets - before.arrived_packets) / seconds:8,.0f} packets/s")
    table.add_row("leaving", f"{(now.sent_bytes - before.sent_bytes) * 8 / seconds / 1e6:8.1f} Mbit/s")
    dropped = f"{now.drops:8,} packets" + (f"  (+{drops:,} in the last half second)" if drops else "")
    table.add_row("dropped", Text(dropped, style="bold red" if drops else ""))
    sizes = f"  {now.backlog_bytes // KIB:,} held of {now.limit_bytes // KIB:,} KiB"
    if forecast:
        table.add_row("forecast", Text(forecast, style="yellow"))
    table.add_row("buffer", bar + Text(sizes))
    return table


def _strip(plan: Plan, ticks: Sequence[Tick]) -> Group:
    """The last seconds as bars, oldest on the left."""
    end = ticks[-1].at_ns
    recent = [tick for tick in ticks if 0 <= end - tick.at_ns < WINDOW_NS]  # a newer one may have come meanwhile
    cells: list[Tick | None] = [None] * WIDTH
    for tick in recent:
        cells[WIDTH - 1 - (end - tick.at_ns) * WIDTH // WINDOW_NS] = tick
    for cell in range(1, WIDTH):
        cells[cell] = cells[cell] or cells[cell - 1]
    granted = _bars([tick.limit_bytes if tick else 0 for tick in cells], plan.scenario.pool_bytes)
    held = _bars([tick.backlog_bytes if tick else 0 for tick in cells], plan.scenario.pool_bytes)
    span = f"last {WINDOW_NS // 1_000_000_000} s"
    return Group(Text(f"granted  {granted}  {span}", style="blue"), Text(f"held     {held}  {span}", style="cyan"))


def _events(history: History, start_ns: int) -> Text:
    """The end of a long sentence, its alternatives, is for the log."""
    lines = [
        f"{(event.at_ns - start_ns) / 1e9:6.1f} s  {event.text.partition(';')[0]}" for event in history.events[-EVENTS:]
    ]
    padded = lines + [""] * (EVENTS - len(lines))
    return Text("\n".join(padded), style="dim", no_wrap=True, overflow="ellipsis")


def _ago(ticks: Sequence[Tick], distance_ns: int) -> Tick:
    end = ticks[-1].at_ns
    for tick in reversed(ticks):
        if end - tick.at_ns >= distance_ns:
            return tick
    return ticks[0]


def _share(value: int, whole: int) -> int:
    """At least one cell for anything at all, so that a small buffer can be seen."""
    return 0 if value == 0 else min(BAR, max(1, round(BAR * value / whole)))


def _bars(values: Sequence[int], most: int) -> str:
    return "".join(BLOCKS[min(8, -(-8 * value // most))] for value in values)
