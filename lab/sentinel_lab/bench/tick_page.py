"""docs/benchmarks/tick.md, made of what `sentinel bench tick --save` left in docs/benchmarks/data.

python -m sentinel_lab.bench.tick_page [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DOCS: Final = Path(__file__).parents[3] / "docs" / "benchmarks"
PAGE: Final = DOCS / "tick.md"
TURNS: Final = DOCS / "data" / "tick-turns.json"
COLUMNS: Final = {
    "tick.json": "64 k flows",
    "tick-beside.json": "busy beside",
    "tick-million.json": "a million flows",
    "tick-before.json": "before",
}
"""Files, in their order, and what heads their column."""
BUDGETS: Final = {"tick_p99_ms": 10.0, "predict_p99_ms": 1.0, "cpu_percent": 5.0, "rss_mib": 150.0}
SHARES: Final = "_share"

HEAD: Final = """<!-- Made of data/tick*.json by `python -m sentinel_lab.bench.tick_page`: change those, not this -->
# What a tick costs

```sh
{commands}
python -m sentinel_lab.bench.tick_page
```

The agent as a process of its own in a namespace: 15 classes and the unmatched, so many live flows in its table, the
trained model that ships, light traffic of every class and a burst of one class after another every two seconds. Times
are the agent's own of each tick, by stage; a tick's CPU time is beside its duration, because on a busy machine the two
differ. `cpu_percent` is of one core, of the whole process with all its threads; memory of BPF maps is the kernel's and
told apart. *Busy beside*: so many endless loops besides, on the same cores. *Before*: as it was before the two changes
below.

"""
AFTER: Final = """
## What two changes did

Measured in turn on a loaded machine, old and new code after each other ([data/tick-turns.json](data/tick-turns.json)):

{turns}
- *One plain dump.* Every two seconds the inspector looks whether what is ours is still there. It listed all qdiscs
  three times, through a library that takes every attribute apart; now it lists them once and parses what is its own.
- *No thread of ours without a CPU.* The tick asks for the real-time class and so gets a CPU at once, but then it waits
  for whoever of the process has the interpreter. A helper that was descheduled with it held ticks up for 45 to 170 ms,
  in the stages that hand over to another thread (`learn` asks the model's). So it was with the p99 of 56.8 ms that a
  run with a million flows once had: made again at a load of 15 to 50 it had 65 and 126 ms, and the slowest ticks had 3
  to 4 ms of CPU time in them. They waited, so it was neither garbage nor a long pass through the flows; with 64 k flows
  it was the same. All threads are scheduled before ordinary work now. What is left of the tail beside others is
  mostly in `observe`: its answers from the kernel wait for the lock that whoever makes namespaces and queues holds.
"""


def page(found: Mapping[str, Mapping[str, Any]], turns: Sequence[Mapping[str, Any]]) -> str:
    commands = "\n".join(f"sudo {each['machine']['command']}" for each in found.values() if _command(each))
    parts = [HEAD.format(commands=commands), _table(found), "", *_conditions(found), "", *_shares(found)]
    return "\n".join(parts) + AFTER.format(turns=_turned(turns))


def _command(each: Mapping[str, Any]) -> str:
    return str(each["machine"].get("command", ""))


def _table(found: Mapping[str, Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for each in found.values() for name in each["metrics"] if SHARES not in name))
    lines = [
        f"| metric | {' | '.join(COLUMNS[each] for each in found)} | budget at 64 k |",
        f"|---|{'--:|' * (len(found) + 1)}",
    ]
    for name in names:
        cells = [_cell(each["metrics"].get(name)) for each in found.values()]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {_cell(BUDGETS.get(name))} |")
    counts = [next(row for row in each["rows"] if row["what"] == "ticks") for each in found.values()]
    told = [f"{each['measured']} / {each['missed']}" for each in counts]
    lines.append(f"| ticks measured / missed | {' | '.join(told)} | |")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.2f}"


def _conditions(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, each in found.items():
        load, machine = next(row for row in each["rows"] if row["what"].startswith("load")), each["machine"]
        yield (
            f"- *{COLUMNS[name]}* ([data/{name}](data/{name})): {machine['date']}, kernel {machine['kernel']}, "
            f"{machine['cpus']} CPUs, Python {machine['python']}, load average {load['start']:.1f} at the start and "
            f"{load['end']:.1f} at the end. {_verdict(each['metrics'])}"
        )


def _verdict(metrics: Mapping[str, float]) -> str:
    over = [f"`{name}` ({metrics[name]:.2f} of {most:g})" for name, most in BUDGETS.items() if metrics[name] > most]
    return f"Beyond its budget: {', '.join(over)}." if over else "All within their budgets."


def _shares(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, each in found.items():
        shares = {key.removesuffix(SHARES): value for key, value in each["metrics"].items() if key.endswith(SHARES)}
        told = ", ".join(f"{stage} {value:.3f}" for stage, value in shares.items())
        yield f"Shares of the stages, *{COLUMNS[name]}*: {told}.\n"


def _turned(turns: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| change | metric | load, one minute | before | after |", "|---|---|--:|--:|--:|"]
    lines += [
        f"| {each['change']} | {each['metric']} | {each['load']} | {each['before']:.2f} | {each['after']:.2f} |"
        for each in turns
    ]
    return "\n".join(lines) + "\n"


def stored() -> dict[str, Mapping[str, Any]]:
    return {each: json.loads((DOCS / "data" / each).read_text()) for each in COLUMNS}


def main() -> None:
    made = page(stored(), json.loads(TURNS.read_text()))
    if "--check" not in sys.argv:
        PAGE.write_text(made)
    elif made != PAGE.read_text():
        raise SystemExit("docs/benchmarks/tick.md is not what its data say: run this without --check")


if __name__ == "__main__":
    main()
