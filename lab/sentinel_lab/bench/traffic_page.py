"""docs/benchmarks/traffic.md, made of what `sentinel bench traffic --json` told.

python -m sentinel_lab.bench.traffic_page [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DOCS: Final = Path(__file__).parents[3] / "docs" / "benchmarks"
DATA: Final = DOCS / "data" / "traffic.json"
PAGE: Final = DOCS / "traffic.md"

HEAD: Final = """<!-- Made of data/traffic.json by `python -m sentinel_lab.bench.traffic_page`: edit those -->
# What the lab's own senders reach

```sh
sudo sentinel bench traffic --json > docs/benchmarks/data/traffic.json
python -m sentinel_lab.bench.traffic_page
```

Every number is of one run of that command: {date}, kernel {kernel}, {cpus} CPUs shared with other work (load average
{load}), Python {python}. Nothing here is random, so there is no seed. All of it runs in namespaces of its own: a
sender, a router and a receiver on one machine.

## Datagrams

One process, so one core, by `sendmmsg` in batches; open loop: a packet is due at its time, whatever became of the ones
before. *Late* is how long after that it left, for 99 of 100.

{datagrams}

## TCP

Real sockets; what requests take counts from when they were due, not from when they could be sent. iperf3 over the same
path is a second opinion.

{tcp}

## The delay line

No netem here: packets wait in a process behind a TUN device. *Error* is how much later than asked they came, the path
itself included; the last rows are the way between two sites, through a link of 5 MB/s.

{delays}
"""


def page(answer: Mapping[str, Any]) -> str:
    rows = answer["rows"]
    loads = [each["load"] for each in rows]
    return HEAD.format(
        **answer["machine"],
        load=f"{min(loads):.1f} to {max(loads):.1f}",
        datagrams=table(("asked a second", "sent a second", "late p99 ms", "sent", "received"), _datagrams(rows)),
        tcp=table(("kind", "Mbit/s", "due", "answered", "failed", "p50 ms", "p99 ms"), _tcp(rows)),
        delays=table(("way", "asked ms", "error p50 ms", "error p99 ms", "lost"), _delays(rows)),
    )


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    marks = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))


def _datagrams(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for each in rows:
        if each["what"] == "udp":
            counts = (f"{each[name]:,}" for name in ("sent", "received"))
            late = f"{each['lag_ms_p99']:.2f}"
            yield f"{each['asked_pps']:,}", f"{each['reached_pps']:,.0f}", late, *counts


def _tcp(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for each in rows:
        if each["what"] == "iperf3":
            yield "iperf3", f"{each['mbit_per_s']:,.0f}", *[""] * 5
        if each["what"] == "tcp":
            counts = [f"{each[name]:,}" if each["due"] else "" for name in ("due", "answered", "failed")]
            times = [f"{each[name]:.2f}" if each[name] is not None else "" for name in ("ms_p50", "ms_p99")]
            yield each["kind"], f"{each['mbit_per_s']:,.1f}", *counts, *times


def _delays(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for each in rows:
        if each["what"] in ("delay", "sites"):
            errors = (f"{each[f'error_ms_{name}']:.3f}" for name in ("p50", "p99"))
            yield each.get("way", "one line"), f"{each['asked_ms']:g}", *errors, f"{each['lost']:,}"


def main() -> None:
    made = page(json.loads(DATA.read_text()))
    if "--check" not in sys.argv:
        PAGE.write_text(made)
    elif not PAGE.exists() or made != PAGE.read_text():
        raise SystemExit("docs/benchmarks/traffic.md is not what data/traffic.json says: run this without --check")


if __name__ == "__main__":
    main()
