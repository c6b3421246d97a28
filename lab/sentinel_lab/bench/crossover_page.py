"""The page docs/benchmarks/crossover.md and its picture: `python -m sentinel_lab.bench.crossover_page`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sentinel_lab.bench.crossover import WORTH, metrics, spelled
from sentinel_lab.bench.crossover_plot import drawn
from sentinel_lab.sim.crossover import LATENCIES_S, LOOK_S, PRICE, PRICES, SETTLED, settled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCS: Final = Path(__file__).parents[3] / "docs"
DATA: Final = DOCS / "benchmarks" / "data"
PAGE: Final = DOCS / "benchmarks" / "crossover.md"
PICTURE: Final = DOCS / "img" / "crossover.png"

HEAD: Final = """<!-- Made from data/crossover*.json by `python -m sentinel_lab.bench.crossover_page`. -->
# From which latency on foresight pays

```sh
sentinel bench crossover --traces traces/ --json
```

{conditions}

![Gain of foresight by traffic and actuator latency](../img/crossover.png)

## What is compared

An actuator gives capacity. What is ordered at one instant is in force one latency later, for more and for less alike;
a queue of 50 ms stands before it. A rule's **cost** is the capacity it holds, as a share of the demand's peak, plus
{price:g} times the share of the traffic that is lost. **Gain** is 1 - cost(with foresight) / cost(without).

- *Without*: hold the peak of the last 0 s to 30 min, or follow a mean of 1 s to 5 min, each with six headrooms, or keep
  a constant. The rate of a bin is known {look:g} ms after it began, which flatters these rules where bins are a second.
- *With*: the same rules, and on top of them what was foretold. The product's forecasts (its own learner, and its own
  forecast of demand from 10 s on) are known when the bin they were made in has ended.
- *Oracle*: knows when each burst begins and ends and its peak, and nothing of what is no burst by the product's rule.
- Both families are tuned in the same way on the first half of the time, but for its first ten minutes, which are only
  learned from, and judged on the second. What is foretold is used only where that was cheaper on the first half in
  95 % of resamples: a 0 says that there was no proof.
- Intervals are nine tenths of a bootstrap over minutes of the judged half.
- **?** says that nothing can be said: the tuned rule *without* foresight cost more than {settled:g} times what the best
  of its kind would have cost in hindsight, so the halves differ too much, and whatever beats it proves nothing.

`pays from` is the smallest latency at which the whole interval lies above {worth:.0f} %.

{table}

## Where the gain comes from

{parts}

## If a lost byte costs more or less

Gain of the product's forecasts at a latency of 1 s and 10 s, by the price of loss.

{prices}

## What this leaves out

{caveats}
"""

CAVEATS: Final = """- Capacity is a fluid: half a node can be ordered, and orders are never refused.
- "The product's forecasts" are its schedule learner and its smoothed demand, the two that run by default; no trained
  model is among them. The learner's reach ends at 10 s, and so does the gain: what the oracle saves at 30 s and beyond
  is what a longer reach would be worth.
- Synthetic bursts differ in nothing but their times. On traces what is lost is decided by the few largest bursts, and a
  forecast of when a burst begins says little of how large it will be: there the oracle gains and the product does not.
- Even what the oracle tells can cost: the rule that obeys it is tuned on the first half too, and holds less besides.
- Gain in hindsight is against the rule without foresight that would have been best on the judged half itself.
- Where a period divides the latency, a reactive rule's late answer to one burst meets the next by chance.
- At latencies below a bin's length a trace cannot say what happens inside the bin; it is taken as even.

Left out: {left_out}"""


def main() -> None:
    stored = [json.loads(each.read_text()) for each in sorted(DATA.glob("crossover*.json"))]
    made = page(stored)
    if "--check" in sys.argv:
        if made != PAGE.read_text():
            raise SystemExit("docs/benchmarks/crossover.md is not what data/crossover*.json say: run without --check")
        return
    PAGE.write_text(made)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(drawn([row for each in stored for row in each["rows"] if "gain" in row]))


def page(stored: Sequence[Mapping[str, Any]]) -> str:
    """Of one run or several: a subject's figures do not depend on which others are in its run."""
    rows = [row for each in stored for row in each["rows"] if "gain" in row]
    left_out = "; ".join(row["left_out"] for each in stored for row in each["rows"] if "left_out" in row)
    machine = max((each["machine"] for each in stored), key=lambda each: each["date"])
    first = min(each["machine"]["date"] for each in stored)
    conditions = (
        f"Every number on this page is of that command, run in {len(stored)} parts (a subject's figures do not depend "
        f"on the others): {first} to {machine['date']}, kernel {machine['kernel']}, {machine['cpus']} CPUs, Python "
        f"{machine['python']}, seeds 100 and 101. Times are virtual: the machine's load changes none of them."
    )
    return HEAD.format(
        conditions=conditions, price=PRICE, look=LOOK_S * 1000, worth=100 * WORTH, settled=SETTLED,
        table=_gains(rows),
        parts=_parts(rows), prices=_prices(rows), caveats=CAVEATS.format(left_out=left_out or "nothing."),
    )  # fmt: skip


def _subjects(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(each["subject"] for each in rows))


def _point(rows: Sequence[Mapping[str, Any]], subject: str, source: str, latency_s: float, price: float) -> Any:
    return next(
        each
        for each in rows
        if (each["subject"], each["source"], each["latency_s"], each["price"]) == (subject, source, latency_s, price)
    )


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    marks = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, marks, *lines))


def _gains(rows: Sequence[Mapping[str, Any]]) -> str:
    """Per cent, product / oracle, with the product's interval where it is not a bare nought."""
    lines, told = [], metrics(rows)
    for subject in _subjects(rows):
        cells = []
        for latency_s in LATENCIES_S:
            mine, best = (_point(rows, subject, source, latency_s, PRICE) for source in ("product", "oracle"))
            span = f" ({100 * mine['low']:.0f}..{100 * mine['high']:.0f})" if mine["gain"] and _settled(mine) else ""
            cells.append(f"{_percent(mine)}{span} / {_percent(best)}")
        pays = told.get(f"{subject}.pays_from_s")
        lines.append([subject, *cells, spelled(pays) if pays is not None else "never"])
    return _table(["gain in %, product / oracle", *map(spelled, LATENCIES_S), "pays from"], lines)


def _settled(row: Mapping[str, Any]) -> bool:
    return settled(row["gain"], row["gain_in_hindsight"])


def _percent(row: Mapping[str, Any]) -> str:
    return f"{100 * row['gain']:.0f}" if _settled(row) else "?"


def _parts(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for each in rows:
        if each["price"] == PRICE and each["source"] == "product" and abs(each["gain"]) > WORTH and _settled(each):
            lines.append(
                [
                    f"{each['subject']} at {spelled(each['latency_s'])}",
                    f"{100 * each['reactive_held']:.0f}", f"{100 * each['held']:.0f}",
                    f"{100 * each['reactive_lost']:.2f}", f"{100 * each['lost']:.2f}",
                    f"{100 * each['gain_in_hindsight']:.0f}",
                ]
            )  # fmt: skip
    head = ["product", "held without, % of peak", "held with", "lost without, %", "lost with", "gain in hindsight, %"]
    return _table(head, lines)


def _prices(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for subject in _subjects(rows):
        found = [_point(rows, subject, "product", latency_s, price) for latency_s in (1.0, 10.0) for price in PRICES]
        if any(each["gain"] for each in found):
            lines.append([subject, *map(_percent, found)])
    return _table(["gain in %", *(f"{at}, price {price:g}" for at in ("1 s", "10 s") for price in PRICES)], lines)


if __name__ == "__main__":
    main()
