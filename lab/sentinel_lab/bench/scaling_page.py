"""docs/benchmarks/scaling.md from data/scaling.json: run it after each new measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

PAGES: Final = Path(__file__).parents[3] / "docs/benchmarks"
HEADLINE_S: Final = 60
LEADS_S: Final = (30, 60, 120)
SHOWN: Final = (
    "predictive",
    "predictive_patient",
    "hpa",
    "hpa_quick",
    "hpa_plus_30",
    "linear",
    "holt_winters",
    "static",
    "oracle",
)
TOP: Final = """\
<!-- Made from data/scaling.json by `python -m sentinel_lab.bench.scaling_page`: change those, not this. -->
# What foresight is worth when nodes take a minute to come

```sh
sentinel bench scaling --json --traces TRACES --plot scaling.png > docs/benchmarks/data/scaling.json
```

Simulated, by that command, on {date}; no clock is involved, so the machine's load changes nothing.

Demand is on a grid of five seconds, in nodes' worth of traffic: a node carries a twelfth of the 99.9th percentile.
`predictive` is the operator's own code (forecast learner, `decide/demand`, `decide/scale`), every 10 s; the others are
the rule of a HorizontalPodAutoscaler every 15 s (`hpa`), the same with 30 % more nodes, the same on a linear trend and
on Holt-Winters with an hour's season, a fleet for the peak, and an oracle. All keep 20 % headroom and stay within 3
and 100 nodes. `predictive` has the operator's defaults: fewer nodes must have sufficed for 60 s; the HPA rule's for
300 s, as is usual there. `predictive_patient` waits for 300 s, `hpa_quick` for 60, so that patience and foresight are
told apart. A node costs from when it is ordered and carries traffic after the lead time. One learner sees all demand:
nodes that share it evenly and err together.

Made patterns are six hours of history and six that are judged, with three seeds: `schedule` bursts every half hour to
2.5 times for three minutes, `ramp` rises at random times over five minutes, `day` is a slow wave, `flash` jumps at
random times and cannot be foreseen. Traces are judged on their second half.

![Node-hours against seconds of overload](scaling.png)

## What it says

{verdict}

## Against the HPA rule at the same headroom

Overload reduction and node-hours as a ratio, with 95 % intervals (blocks of the days resampled in pairs); *at equal
overload* reads off the front of the HPA rule, patient and quick, with other headrooms, what it needs for as little
overload. Where there is no number the rule had no overload to reduce, or never gets so far.

| trace | lead time | overload reduction | node-hours | at equal overload |
| --- | --: | --: | --: | --: |
"""


def page(found: dict[str, Any], verdict: str) -> str:
    metrics, rows = found["metrics"], [row for row in found["rows"] if "policy" in row]
    traces = list(dict.fromkeys(row["trace"] for row in rows))
    lines = [TOP.format(date=found["machine"]["date"][:10], verdict=verdict.strip())]
    for trace in traces:
        for lead_s in LEADS_S:
            lines.append(_against(metrics, trace, lead_s))
    lines.append(f"\n## All rules, lead time {HEADLINE_S} s\n\n")
    lines.append("| trace | rule | node-hours | overload (s) | beyond capacity (%) | actions |\n")
    lines.append("| --- | --- | --: | --: | --: | --: |\n")
    for row in rows:
        if row["lead_s"] == HEADLINE_S and row["policy"] in SHOWN:
            numbers = (f"{row[name]:,.6g}" for name in ("node_hours", "overload_s", "dropped_percent", "actions"))
            lines.append(f"| `{row['trace']}` | {row['policy']} | {' | '.join(numbers)} |\n")
    left_out = [row["left_out"] for row in found["rows"] if "left_out" in row]
    lines.append("\nLeft out: " + "; ".join(left_out) + ".\n" if left_out else "")
    return "".join(lines)


def _against(metrics: dict[str, float], trace: str, lead_s: int) -> str:
    mark = "" if lead_s == HEADLINE_S else f"_{lead_s}"
    cells = [_bounded(metrics, f"{trace}.{name}{mark}") for name in ("overload_reduction", "node_hours_ratio")]
    equal = metrics.get(f"{trace}.node_hours_ratio_at_equal_overload{mark}")
    return f"| `{trace}` | {lead_s} s | {' | '.join(cells)} | {'' if equal is None else f'{equal:.2f}'} |\n"


def _bounded(metrics: dict[str, float], name: str) -> str:
    if name not in metrics:
        return ""
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return f"{metrics[name]:.2f}" + ("" if low is None or high is None else f" ({low:.2f} to {high:.2f})")


def main() -> None:
    found = json.loads((PAGES / "data/scaling.json").read_text())
    verdict = (PAGES / "data/scaling-verdict.md").read_text()
    (PAGES / "scaling.md").write_text(page(found, verdict))


if __name__ == "__main__":
    main()
