"""docs/benchmarks/rivals.md: the kernel's disciplines, as a guest measured them, beside policies in virtual time.

python -m sentinel_lab.bench.rivals_page --simulate > docs/benchmarks/data/rivals-simulated.json
python -m sentinel_lab.bench.rivals_page [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sentinel_lab.bench.traffic_page import table
from sentinel_lab.disciplines import DISCIPLINES, PATTERN, SECONDS, TENTH
from sentinel_lab.report import machine
from sentinel_lab.sim.front import Case, carried_out, row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DOCS: Final = Path(__file__).parents[3] / "docs" / "benchmarks"
GUEST, SIMULATED = DOCS / "data" / "rivals.json", DOCS / "data" / "rivals-simulated.json"
PAGE: Final = DOCS / "rivals.md"
POLICIES: Final = ("static-small", "static-large", "reactive-10ms", "reactive-100ms", "predictive")
CLASSES: Final = ("bursty", "bystander")

HEAD: Final = """<!-- Made of data/rivals*.json by `python -m sentinel_lab.bench.rivals_page`: edit those -->
# The kernel's own disciplines under the same bursts

```sh
{command}
python -m sentinel_lab.bench.rivals_page --simulate > docs/benchmarks/data/rivals-simulated.json
python -m sentinel_lab.bench.rivals_page
```

This machine's kernel has none of fq, fq_codel, CAKE and PIE, so they take the bursts in an emulated guest with kernel
{kernel} ({date}); policies take the same schedule in virtual time ({simulated}, Python {python}). A tenth of the usual
packets over a tenth of the link with a tenth of the memory, seed 0: {pattern} bursts for {seconds:g} s, of which one
brings ten times the calm rate for two, beside a bystander of telemetry.

Fair queues keep the bystander's wait short without being told of classes, and take the burst for too much: they drop
what a policy that knows the class keeps for it. A class of its own does both, under every policy with room enough; what
a forecast adds to that is seen where others hold the room ([front.md](front.md), `mixed`), and not here.

## In the guest

Each with its defaults, below an HTB class that is the link. Two plain FIFOs, as small and as large as in the
comparison, stand for `static-small` and a pool that all share. *Delay* is from the sender's system call to the
receiver's.

{guest}

## In virtual time

*Delay* is the time in the queue. The two statics can be held against the two FIFOs above.

{policies}

## What the guest cannot tell

A tenth of the scale is not the same to everybody. CoDel, in fq_codel and CAKE, drops by time, so that each of its drops
is a larger share here; the hundred packets that fq lets a flow hold last ten times as long.

Its clock goes by the instructions it executes, so that a busy host delays nothing, but an instruction costs there what
it likes: times below a few milliseconds are the emulator's. Sender, queue and receiver share one virtual processor;
*clean* says whether the sender kept its schedule. No policy of ours runs in the guest: its loop would be measured, not
its rule.
"""


def simulated() -> dict[str, Any]:
    cases = [Case(TENTH, PATTERN, each, 0, SECONDS) for each in POLICIES]
    rows = [row(case, result) for case, result in zip(cases, carried_out(cases), strict=True)]
    return {"bench": "rivals", "machine": machine(), "rows": rows}


def page(guest: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    kernels = guest["kernels"]
    figures = {name: value for each in kernels.values() for name, value in each.items()}
    return HEAD.format(
        command=guest["command"],
        kernel=", ".join(kernels),
        date=guest["date"],
        simulated=model["machine"]["date"],
        python=model["machine"]["python"],
        pattern=PATTERN,
        seconds=SECONDS,
        guest=table(("discipline", "class", "dropped %", "delay p50 ms", "delay p99 ms", "clean"), _guest(figures)),
        policies=table(("policy", "class", "dropped %", "delay p50 ms", "delay p99 ms"), _policies(model["rows"])),
    )


def _guest(figures: Mapping[str, str]) -> Iterator[Sequence[str]]:
    for each in DISCIPLINES:
        for name in CLASSES:
            if f"{each} {name} dropped %" in figures:
                told = (figures[f"{each} {name} {what}"] for what in ("dropped %", "delay p50 ms", "delay p99 ms"))
                yield each, name, *told, "yes" if figures[f"{each} clean"] == "True" else "**no**"


def _policies(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for each in rows:
        for name in CLASSES:
            told = each["classes"][name]
            delays = (f"{told[f'sojourn_ms_{quantile}']:.1f}" for quantile in ("p50", "p99"))
            yield each["policy"], name, f"{told['drop_percent']:.2f}", *delays


def main() -> None:
    if "--simulate" in sys.argv:
        sys.stdout.write(json.dumps(simulated(), indent=1) + "\n")
        return
    made = page(json.loads(GUEST.read_text()), json.loads(SIMULATED.read_text()))
    if "--check" not in sys.argv:
        PAGE.write_text(made)
    elif not PAGE.exists() or made != PAGE.read_text():
        raise SystemExit("docs/benchmarks/rivals.md is not what data/rivals*.json say: run this without --check")


if __name__ == "__main__":
    main()
