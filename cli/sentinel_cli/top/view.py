"""Looks to a picture for a terminal: pure, so that it can be tested as text."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sentinel_cli.cluster.words import amount
from sentinel_cli.top.seen import MEDIAN, MOST, ORDERS, SHOWN_HORIZON, Line, Node, expected, lines, ordered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

KEPT = 30
LEAST_KEPT = 6
BARS = "▁▂▃▄▅▆▇█"
WIDE, NARROW = 10, 5
BESIDE = 56  # columns that numbers, tier and gaps take
ORDERS_SHOWN = NODES_SHOWN = ERRORS_SHOWN = 6
LEAST_LINES = 3  # of the classes, however little room there is


@dataclass(slots=True)
class History:
    """The last look, and what each line, and each node as a whole, carried lately."""

    last: dict[str, Node] = field(default_factory=dict)
    carried: dict[tuple[str, ...], deque[float]] = field(default_factory=dict)

    def add(self, looked: Sequence[Node]) -> list[Line]:
        found: list[Line] = []
        for node in looked:
            own = lines(self.last.get(node.name), node)
            for line in own:
                self._keep((line.node, line.interface, line.name), line.bytes_per_s)
            if own:
                self._keep((node.name,), sum(line.bytes_per_s for line in own))
            found += own
        self.last |= {node.name: node for node in looked if not node.error}
        return found

    def of(self, line: Line) -> Sequence[float]:
        return list(self.carried.get((line.node, line.interface, line.name), ()))

    def of_node(self, node: Node) -> Sequence[float]:
        return list(self.carried.get((node.name,), ()))

    def _keep(self, at: tuple[str, ...], bytes_per_s: float) -> None:
        self.carried.setdefault(at, deque(maxlen=KEPT)).append(bytes_per_s)


@dataclass(slots=True)
class Choice:
    """What a person chose to see."""

    order: str = "t"
    wanted: str = ""
    typing: bool = False


@dataclass(frozen=True, slots=True)
class Paper:
    """What there is to draw on; 0 rows where that does not matter."""

    columns: int = 150
    rows: int = 0


def picture(
    looked: Sequence[Node], shown: Sequence[Line], history: History, choice: Choice, paper: Paper = Paper()
) -> RenderableType:
    """Classes that find no room are counted; where it is narrow, the past is what gets shorter."""
    wanted = ordered(shown, choice.order, choice.wanted)
    around = [*_outlook(looked, wanted, history), *_errors(looked), *_reasons(looked)]
    room = max(LEAST_LINES, paper.rows - len(around) - 5) if paper.rows else len(wanted)
    hidden = len(wanted) - room
    if hidden > 0:
        around.insert(0, Text(f"and {hidden} more: / shows only what holds a text", style="dim"))
    return Group(_title(looked), _table(wanted[:room], history, paper.columns), *around, _keys(choice))


def _outlook(looked: Sequence[Node], shown: Sequence[Line], history: History) -> Iterator[RenderableType]:
    """What nodes carried, and what they expect to: of those whose classes are shown, the busiest first."""
    named = {line.node for line in shown}
    nodes = [node for node in looked if node.name in named and expected(node, MEDIAN)]
    nodes.sort(key=lambda node: (-sum(history.of_node(node)[-1:]), node.name))
    if not nodes:
        return
    horizons = sorted(nodes[0].forecast, key=lambda text: (len(text), text))
    yield Text(f"What nodes carried │ and what they expect in {', '.join(horizons)} (median)", style="bold")
    widest = max(len(node.name) for node in nodes[:NODES_SHOWN])
    for node in nodes[:NODES_SHOWN]:
        median, most = (expected(node, quantile) for quantile in (MEDIAN, MOST))
        said = f"in {horizons[-1]} {amount(median[-1])}" + (f" (95th: {amount(most[-1])})" if most else "")
        line = Text(f"  {node.name.ljust(widest)} ", no_wrap=True, overflow="ellipsis")
        yield line.append(ahead(history.of_node(node), median)).append(f" {said}")


def _errors(looked: Sequence[Node]) -> Iterator[RenderableType]:
    silent = [node for node in looked if node.error]
    for node in silent[:ERRORS_SHOWN]:
        yield Text(f"{node.name}: {node.error}", style="red", overflow="ellipsis", no_wrap=True)
    if len(silent) > ERRORS_SHOWN:
        yield Text(f"and {len(silent) - ERRORS_SHOWN} more that do not answer", style="red")


def _reasons(looked: Sequence[Node]) -> Iterator[RenderableType]:
    told = [order for node in looked for order in node.orders][:ORDERS_SHOWN]
    if told:
        yield Text("Why the limits are what they are", style="bold")
    for order in told:
        yield Text(f"  {order}", overflow="ellipsis", no_wrap=True)


def _title(looked: Sequence[Node]) -> Text:
    good = [node for node in looked if not node.error]
    total, granted, held = (sum(node.pool.get(part, 0.0) for node in good) for part in ("total", "granted", "held"))
    soon = [sum(node.forecast.get(SHOWN_HORIZON, {}).get(q, 0.0) for node in good) for q in (MEDIAN, MOST)]
    words = [f"{len(good)} of {len(looked)} nodes answer"]
    if total:
        words.append(f"pool {size(total)}: {granted / total:.0%} granted, {held / total:.0%} held")
    if any(node.forecast for node in good):
        words.append(f"in {SHOWN_HORIZON} {amount(soon[0])}" + (f" to {amount(soon[1])}" if soon[1] else ""))
        words.append(f"{sum(node.trusted for node in good)} act on forecasts")
    return Text("   ".join(words), style="bold")


def _widths(shown: Sequence[Line], columns: int) -> tuple[int, int, bool]:
    """For the past, for bars, and whether there is room for signs."""
    names = sum(max((len(each) for each in column), default=0) for column in _names(shown))
    for wide, signs in ((WIDE, True), (NARROW, True), (NARROW, False)):
        left = columns - names - BESIDE - wide - (wide + 2) * signs
        if left >= LEAST_KEPT:
            break
    return min(KEPT, max(LEAST_KEPT, left)), wide, signs


def _names(shown: Sequence[Line]) -> Iterator[tuple[str, ...]]:
    return zip(*((line.node, line.interface, line.name) for line in shown), strict=True)


def _table(shown: Sequence[Line], history: History, columns: int) -> Table:
    kept, wide, signs = _widths(shown, columns)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("NODE", "IF", "CLASS", "TIER"):
        table.add_column(heading, no_wrap=True)
    table.add_column("CARRIES", justify="right", no_wrap=True)
    table.add_column("LATELY", no_wrap=True)
    table.add_column("ROOM", no_wrap=True)
    for heading in ("", "DROPS/s", "P99"):
        table.add_column(heading, justify="right", no_wrap=True)
    if signs:
        table.add_column("SIGNS", no_wrap=True)
    for line in shown:
        table.add_row(
            *(Text(name) for name in (line.node, line.interface, line.name, line.tier)), amount(line.bytes_per_s),
            spark(history.of(line)[-kept:]).ljust(kept), bar(line.fill, wide=wide), size(line.limit),
            Text(f"{line.drops_per_s:.0f}", style="red" if line.drops_per_s >= 1 else ""),
            "-" if line.p99_s is None else span(line.p99_s), *([bar(line.severity, "yellow", wide)] if signs else []),
        )  # fmt: skip
    return table


def _keys(choice: Choice) -> Text:
    if choice.typing:
        return Text(f"only: {choice.wanted}_   (Enter keeps it, Esc shows all)", style="reverse")
    sorts = "  ".join(f"{key} {name}" for key, (name, _) in ORDERS.items())
    only = f"   only {choice.wanted!r}" if choice.wanted else ""
    return Text(f"{sorts}  / only …  q quit   by {ORDERS[choice.order][0]}{only}", style="dim")


def spark(values: Sequence[float]) -> str:
    return _bars(values, max(values, default=0.0))


def ahead(past: Sequence[float], coming: Sequence[float]) -> Text:
    """Both on one scale, so that a rise that is expected stands above what was."""
    top = max([*past, *coming], default=0.0)
    return Text(_bars(past, top).rjust(KEPT)).append("│", "dim").append(_bars(coming, top), "cyan")


def _bars(values: Sequence[float], top: float) -> str:
    return "".join(BARS[min(7, int(8 * value / top))] if top else BARS[0] for value in values)


def bar(share: float, style: str = "", wide: int = WIDE) -> Text:
    full = round(wide * min(1.0, max(0.0, share)))
    return Text("█" * full + "·" * (wide - full), style=style or ("red" if share > 0.9 else "green"))


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
