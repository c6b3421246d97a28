"""Looks to a picture for a terminal: pure, so that it can be tested as text."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sentinel_cli.cluster.words import amount
from sentinel_cli.top.seen import ORDERS, SHOWN_HORIZON, Line, Node, lines, ordered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

KEPT = 30
BARS = "▁▂▃▄▅▆▇█"
WIDE = 10
ORDERS_SHOWN = 6


@dataclass(slots=True)
class History:
    """The last look, and what each line carried lately."""

    last: dict[str, Node] = field(default_factory=dict)
    carried: dict[tuple[str, str, str], deque[float]] = field(default_factory=dict)

    def add(self, looked: Sequence[Node]) -> list[Line]:
        found = [line for node in looked for line in lines(self.last.get(node.name), node)]
        for line in found:
            at = (line.node, line.interface, line.name)
            self.carried.setdefault(at, deque(maxlen=KEPT)).append(line.bytes_per_s)
        self.last |= {node.name: node for node in looked if not node.error}
        return found

    def of(self, line: Line) -> Sequence[float]:
        return self.carried.get((line.node, line.interface, line.name), ())


@dataclass(slots=True)
class Choice:
    """What a person chose to see."""

    order: str = "t"
    wanted: str = ""
    typing: bool = False


def picture(looked: Sequence[Node], shown: Sequence[Line], history: History, choice: Choice) -> RenderableType:
    parts: list[RenderableType] = [_title(looked), _table(ordered(shown, choice.order, choice.wanted), history)]
    for node in looked:
        if node.error:
            parts.append(Text(f"{node.name}: {node.error}", style="red"))
    told = [order for node in looked for order in node.orders][:ORDERS_SHOWN]
    if told:
        parts.append(Text("Why the limits are what they are", style="bold"))
        parts += [Text(f"  {order}", overflow="ellipsis", no_wrap=True) for order in told]
    return Group(*parts, _keys(choice))


def _title(looked: Sequence[Node]) -> Text:
    good = [node for node in looked if not node.error]
    total, granted, held = (sum(node.pool.get(part, 0.0) for node in good) for part in ("total", "granted", "held"))
    expected = [sum(node.forecast.get(q, 0.0) for node in good) for q in ("0.5", "0.95")]
    words = [f"{len(good)} of {len(looked)} nodes answer"]
    if total:
        words.append(f"pool {size(total)}: {granted / total:.0%} granted, {held / total:.0%} held")
    if any(node.forecast for node in good):
        words.append(f"in {SHOWN_HORIZON} {amount(expected[0])} to {amount(expected[1])}")
        words.append(f"{sum(node.trusted for node in good)} act on forecasts")
    return Text("   ".join(words), style="bold")


def _table(shown: Sequence[Line], history: History) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("NODE", "IF", "CLASS", "TIER"):
        table.add_column(heading, no_wrap=True)
    table.add_column("CARRIES", justify="right", no_wrap=True)
    table.add_column("LATELY", no_wrap=True)
    table.add_column("ROOM", no_wrap=True)
    for heading in ("", "DROPS/s", "P99"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("SIGNS", no_wrap=True)
    for line in shown:
        table.add_row(
            *(Text(name) for name in (line.node, line.interface, line.name, line.tier)), amount(line.bytes_per_s),
            spark(history.of(line)), bar(line.fill), size(line.limit),
            Text(f"{line.drops_per_s:.0f}", style="red" if line.drops_per_s >= 1 else ""),
            "-" if line.p99_s is None else span(line.p99_s), bar(line.severity, "yellow"),
        )  # fmt: skip
    return table


def _keys(choice: Choice) -> Text:
    if choice.typing:
        return Text(f"only: {choice.wanted}_   (Enter keeps it, Esc shows all)", style="reverse")
    sorts = "  ".join(f"{key} {name}" for key, (name, _) in ORDERS.items())
    only = f"   only {choice.wanted!r}" if choice.wanted else ""
    return Text(f"{sorts}  / only …  q quit   by {ORDERS[choice.order][0]}{only}", style="dim")


def spark(values: Sequence[float]) -> str:
    top = max(values, default=0.0)
    return "".join(BARS[min(7, int(8 * value / top))] if top else BARS[0] for value in values).ljust(KEPT)


def bar(share: float, style: str = "") -> Text:
    full = round(WIDE * min(1.0, max(0.0, share)))
    return Text("█" * full + "·" * (WIDE - full), style=style or ("red" if share > 0.9 else "green"))


def size(amount_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if amount_bytes < 1024:
            return f"{amount_bytes:.0f} {unit}"
        amount_bytes /= 1024
    return f"{amount_bytes:.1f} GiB"


def span(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
