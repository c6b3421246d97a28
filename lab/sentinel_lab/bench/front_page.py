"""The page docs/benchmarks/front.md and its picture, made of stored runs: `python -m sentinel_lab.bench.front_page`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from sentinel_lab.bench.front_figures import PRODUCT, averaged, intervals, metrics
from sentinel_lab.bench.front_plot import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCS: Final = Path(__file__).parents[3] / "docs"
DATA: Final = DOCS / "benchmarks" / "data"
PAGE: Final = DOCS / "benchmarks" / "front.md"
PICTURE: Final = DOCS / "img" / "front.png"
KIB: Final = 1024

SHARED: Final = "scheduled"
"""The pattern of the runs in which bulk TCP shares the pool."""

HEAD: Final = """<!-- Made from front*.json and validation.json in data: `python -m sentinel_lab.bench.front_page`. -->
# Drops, delay and memory: every policy against every pattern, in virtual time

```sh
sentinel bench front --pattern mixed --seeds 3 --json                        # front_mixed.json, and its smallest pools
sentinel bench front --seeds 1 --json --pattern X   # front_X.json for each other pattern, and trace:PATH
sentinel bench front --pattern synflood --seeds 1 --json --policy static-small --policy static-large \\
  --policy reactive-10ms --policy reactive-100ms --policy predictive         # front_synflood.json
sentinel bench front --sweep --json                                          # front_sweep.json
```

{conditions}

![Drops against delay, a panel a pattern](../img/front.png)

Policies that learn remember 300 s of the same traffic from before the run; `predictive` is the product's learners and
its decisions, without the trained model that ships beside them. What bulk's acknowledgements take is 20 ms. *Held* is
what really stood in the queues of the node, *granted* the sum of the limits, which reserves nothing by itself. Delay
is time in the queue of the bursty class (in `flows`, of the cache's). *Fairness* is Jain's index over the shares of
what they sent that the classes got through. Brackets hold nine tenths of a bootstrap over seeds, where there are
several. Bytes that still stand in a queue when a run ends are in no delay.

Where marks lie on one another, they should: a class alone in the pool needs the same bytes under every policy that
gives it enough in time, and a look every 10 ms is in time. A forecast is worth something where others hold the room it
needs, which is `mixed`; elsewhere it only has to do no harm. What the kernel's own disciplines do with
such bursts is in [rivals.md](rivals.md).

{verdicts}

## The smallest pool that suffices when bulk TCP shares it

Scheduled bursts of 50 to 500 ms beside four bulk flows (`mixed`). A pool suffices when the bursts lose at most 0.1 %,
wait at most 5 % longer (p99) than with fixed shares of an ample pool, and bulk keeps 95 % of its goodput there. Pools
lie a fifth apart; one seed.

{pools}

{patterns}

## Other drains, static-small limits and round trips

One seed, one constant changed at a time; in `mixed` the time that bulk's acknowledgements take as well (20 ms
elsewhere, as between the sites of a region).

{sweep}

## Beside the testbed

`python -m sentinel_lab.sim.validation TRACE.csv.gz`, {validated}. The same plan in namespaces with real packets and in
the simulator; nothing was fitted. To agree, drops must lie within 10 % or 0.2 points and the p99 of the time in the
queue within 15 %. Beside bulk TCP (`scheduled`) a test does not ask for it: see the design note on the simulator.

{validation}

## Beside every stored sample

`python -m sentinel_lab.sim.beside --policy P docs/benchmarks/data/burst.json docs/benchmarks/data/burst-flows.json` for
each policy that stands here, {stored}. Every clean sample of the [comparison in namespaces](burst.md) under them,
{samples} in all, simulated under its own policy, seed and phase: how many agree by the same bounds, and the means of
both. The class that the scenario is about; pools of `mixed` together.{foresight}

{beside}
"""

FORESIGHT: Final = """
In `mixed` bursts wait longer under foresight here than there, since bulk keeps its share of the link meanwhile; why it
gives way there was not found."""


def main() -> None:
    stored = [
        json.loads(each.read_text())
        for each in sorted(DATA.glob("front*.json"), key=lambda each: ("mixed" not in each.name, each.name))
    ]
    beside, bulk = (json.loads((DATA / name).read_text()) for name in ("validation.json", "validation-bulk.json"))
    beside["rows"] = [each for each in beside["rows"] if each.get("pattern") != SHARED] + bulk["rows"]
    samples = [json.loads(each.read_text()) for each in sorted(DATA.glob("validation-stored-*.json"))]
    beside["machine"]["date"] += f" (`{SHARED}`, with --bulk: {bulk['machine']['date']})"
    made = page(stored, beside, samples)
    if "--check" in sys.argv:
        if made != PAGE.read_text():
            raise SystemExit("docs/benchmarks/front.md is not what data/*.json say: run this without --check")
        return
    PAGE.write_text(made)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(drawn([row for each in stored for row in each["rows"] if "pattern" in row]))


def page(stored: Sequence[Mapping[str, Any]], beside: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> str:
    rows = [row for each in stored for row in each["rows"]]
    compared = [row for each in samples for row in each["rows"]]
    runs = [each for each in rows if "pattern" in each]
    pools = [each for each in rows if "smallest_pool_bytes" in each]
    plain = [each for each in runs if not each.get("swept")]
    patterns = list(dict.fromkeys(each["pattern"] for each in plain))
    return HEAD.format(
        conditions="Every number but those of the testbed is of one run of those commands, seeds from 0 on, last "
        + max(_when(each) for each in stored)
        + ". Times are virtual: the machine's load changes none of them.",
        verdicts=_verdicts(patterns, metrics(runs, pools)),
        pools=_pools(pools),
        patterns="\n\n".join(
            f"## {each}\n\n{_pattern([r for r in plain if r['pattern'] == each])}" for each in patterns
        ),
        sweep=_sweep([each for each in runs if each.get("swept")]),
        validated=_when(beside),
        validation=_validation(beside["rows"]),
        stored=max(map(_when, samples)),
        samples=len(compared),
        beside=_beside(compared),
        foresight=FORESIGHT if any(each["policy"] == PRODUCT for each in compared) else "",
    )


def _when(stored: Mapping[str, Any]) -> str:
    machine = stored["machine"]
    return f"{machine['date']}, kernel {machine['kernel']}, {machine['cpus']} CPUs, Python {machine['python']}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    marks = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, marks, *lines))


def _verdicts(patterns: Sequence[str], metrics: Mapping[str, float]) -> str:
    """Who dominates: no worse in drops, p99 and bytes held, and better in one, beyond small tolerances."""
    lines = []
    for pattern in patterns:
        if f"{pattern}.dominated" not in metrics:
            continue
        prefix = f"{pattern}.dominates_"
        beaten = [name.removeprefix(prefix) for name, value in metrics.items() if name.startswith(prefix) and value]
        lines.append([pattern, "yes" if metrics[f"{pattern}.dominated"] else "no", ", ".join(beaten) or "none"])
    return _table(
        ["pattern", "is `predictive` dominated by a rule without forecasts?", "which does it dominate?"], lines
    )


def _pattern(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for policy in dict.fromkeys(each["policy"] for each in rows):
        mine = [each for each in rows if each["policy"] == policy]
        point, spans = averaged(mine), intervals(mine)
        cells = [
            _spanned(point, spans, "drop_percent", 1, 2),
            f"{point['goodput_bytes_per_s'] / 1e6:.2f}",
            f"{point['sojourn_ms_p50']:.1f}",
            f"{point['sojourn_ms_p95']:.0f}",
            _spanned(point, spans, "sojourn_ms_p99", 1, 0),
            f"{point['bystander_sojourn_ms_p99']:.1f}",
            f"{point['fairness']:.3f}",
            _spanned(point, spans, "held_bytes_mean", KIB, 0),
            f"{point['held_bytes_peak'] / KIB:.0f}",
            f"{point['granted_bytes_mean'] / KIB:.0f}",
        ]
        if "bulk_goodput_bytes_per_s" in point:
            cells += [f"{point['bulk_goodput_bytes_per_s'] / 1e6:.2f}", f"{point['bulk_sojourn_ms_p99']:.0f}"]
        lines.append([policy, *cells])
    head = ["policy", "dropped %", "goodput MB/s", "p50 ms", "p95 ms", "p99 ms", "bystander p99 ms", "fairness",
            "held mean KiB", "held peak KiB", "granted mean KiB"]  # fmt: skip
    if "bulk" in rows[0]["classes"]:
        head += ["bulk MB/s", "bulk p99 ms"]
    return _table(head, lines)


def _spanned(point: Mapping[str, float], spans: Mapping[str, float], name: str, unit: float, digits: int) -> str:
    middle = f"{point[name] / unit:.{digits}f}"
    if f"{name}_low" not in spans:
        return middle
    low, high = (f"{spans[f'{name}_{end}'] / unit:.{digits}f}" for end in ("low", "high"))
    return middle if low == high else f"{middle} [{low}..{high}]"


def _pools(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for each in rows:
        size = each["smallest_pool_bytes"]
        lines.append([each["policy"], f"{size / KIB:,.0f} KiB" if size else "none up to 13.5 MiB"])
    return _table(["policy", "smallest pool"], lines)


def _sweep(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for each in rows:
        mine, bulk = each["classes"]["bursty"], each["classes"].get("bulk")
        lines.append(
            [
                each["pattern"], f"{each['drain_bytes_per_s'] / 1e6:g}", f"{each['static_small_bytes'] / KIB:g}",
                f"{each['round_trip_ms']:g}" if bulk else "", each["policy"], f"{mine['drop_percent']:.2f}",
                f"{mine['sojourn_ms_p99']:.0f}", f"{each['held_bytes_mean'] / KIB:.0f}",
                f"{bulk['goodput_bytes_per_s'] / 1e6:.2f}" if bulk else "",
            ]
        )  # fmt: skip
    head = ["pattern", "drain MB/s", "static-small KiB", "round trip ms", "policy", "dropped %", "p99 ms"]
    return _table([*head, "held mean KiB", "bulk MB/s"], lines)


def _validation(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for each in rows:
        if "unfit" in each:
            lines.append([each["unfit"], *[""] * 8])
            continue
        lines.append(
            [
                each["pattern"], each["policy"], f"{each.get('round_trip_ms', 0):g}", each["of"],
                f"{each['drop_percent']:.2f}", f"{each['simulated_drop_percent']:.2f}",
                f"{each['sojourn_ms_p99']:.1f}", f"{each['simulated_sojourn_ms_p99']:.1f}",
                "yes" if each["agrees"] else "**no**",
            ]
        )  # fmt: skip
    head = [
        "pattern",
        "policy",
        "round trip ms",
        "class",
        "dropped % (testbed)",
        "(simulator)",
        "p99 ms (testbed)",
        "(simulator)",
        "agree",
    ]
    return _table(head, lines)


def _beside(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for pattern, policy in sorted({(each["pattern"], each["policy"]) for each in rows}):
        mine = [each for each in rows if (each["pattern"], each["policy"]) == (pattern, policy)]
        agree = (f"{sum(each[name] for each in mine)} of {len(mine)}" for name in ("drops_agree", "sojourns_agree"))
        means = (
            f"{fmean(each[name] for each in mine):.{digits}f}"
            for name, digits in (
                ("drop_percent", 2), ("simulated_drop_percent", 2), ("sojourn_ms_p99", 1),
                ("simulated_sojourn_ms_p99", 1),
            )
        )  # fmt: skip
        lines.append([pattern, policy, *agree, *means])
    head = ["pattern", "policy", "drops agree", "p99 agree", "dropped % (testbed)", "(simulator)"]
    return _table([*head, "p99 ms (testbed)", "(simulator)"], lines)


if __name__ == "__main__":
    main()
