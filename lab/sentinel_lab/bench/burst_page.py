"""The page docs/benchmarks/burst.md, made of a stored run, and the picture of one burst after the other."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from sentinel_api.errors import Transient
from sentinel_lab import policies
from sentinel_lab.bench import burst_figures, burst_parts, burst_verdict
from sentinel_lab.bench.burst_samples import MIXED_PATTERN, POOL_RIVALS, Row
from sentinel_lab.experiment import Plan, Run, carried_out
from sentinel_lab.scenario import KIB, OF_PATTERN, SINGLE
from sentinel_lab.seasoning import PAST_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DOCS: Final = Path(__file__).parents[3] / "docs" / "benchmarks"
DATA: Final = DOCS / "data" / "burst.json"
PAGE: Final = DOCS / "burst.md"
WIDTH: Final = 116

COLUMNS: Final = {
    "drop_percent": ("dropped %", "{:.3f}"),
    "goodput_mb_per_s": ("goodput MB/s", "{:.2f}"),
    "sojourn_ms_p50": ("queue p50 ms", "{:.1f}"),
    "sojourn_ms_p99": ("queue p99 ms", "{:.1f}"),
    "bystander_queue_us_p99": ("bystander queue p99 µs", "{:.1f}"),
    "bystander_ms_p99": ("bystander end to end p99 ms", "{:.2f}"),
    "fairness": ("fairness", "{:.3f}"),
    "held_kib_mean": ("held mean KiB", "{:,.0f}"),
    "held_kib_peak": ("held peak KiB", "{:,.0f}"),
    "granted_kib_mean": ("granted mean KiB", "{:,.0f}"),
}

BESIDE: Final = {
    "standing_percent": ("met something %", "{:.1f}"),
    "standing_us_p50": ("then p50 µs", "{:.1f}"),
    "standing_us_p99": ("then p99 µs", "{:.1f}"),
    "clear_us_p50": ("else p50 µs", "{:.1f}"),
    "clear_us_p99": ("else p99 µs", "{:.1f}"),
}

HEAD: Final = """<!-- Made of data/burst.json by `python -m sentinel_lab.bench.burst_page`: change those, not this -->
# What each policy drops, delays and holds

```sh
{command}
```

{conditions}

One node in network namespaces, real XDP and real queues; bursts at ten times the calm rate against a link that
carries eight times of it (`lab/sentinel_lab/scenario.py` has every constant with its reason). All policies start with
the same limits. `predictive`, `oracle` and the bad forecasts are the product's own agent process, which remembers
five minutes of the same traffic that were counted out to it, not sent: its predictor, and what a period once brought
at once. The bad ones were right until the run began, so that they turn wrong when they are trusted. The first packet
is due a fixed part of a period after a look of the policy's, the same for all of a round and another in each: a rule
that looks ten times a second loses several times more of bursts that begin at one phase than at another. *Held* is
what stood in the queues of the node, *granted* the limits, which reserve nothing. The bystander's time *in the queue*
is the kernel's; *end to end* is from the sender's system call to the receiver's, and so has the scheduling of both on
shared cores in it. *Fairness* is Jain's index over the shares of what they sent that the classes got through: 1 when
none suffers more than the others. Intervals bound 95 % of resampled rounds.
"""


LATER: Final = """# Later, and in part: {patterns}

```sh
{command}
```

{conditions}
"""


def page(answer: Mapping[str, Any], later: Sequence[Mapping[str, Any]] = ()) -> str:
    """Of one run, and below it of others that were made since, each under its own command."""
    parts = [HEAD.format(command=_commands(answer), conditions=_conditions(answer)), *_verdict(answer, 2)]
    parts += _patterns(answer, 2)
    for each in later:
        patterns = ", ".join(sorted({row["name"] for row in _clean_rows(each)}))
        parts.append("#" + LATER.format(patterns=patterns, command=_commands(each), conditions=_conditions(each)))
        parts += _verdict(each, 3)
        parts += _patterns(each, 3)
    return "\n".join(parts)


def _verdict(answer: Mapping[str, Any], depth: int) -> Iterator[str]:
    """What the product is held to; fewer drops than none are no demand that anybody could meet."""
    found = burst_verdict.table(burst_figures.metrics(_clean_rows(answer)))
    if found:
        yield f"{'#' * depth} What was wanted\n\n{found}"


def _patterns(answer: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Figures are made of the rows, so that a page can tell what its data could not yet."""
    clean = _clean_rows(answer)
    metrics = burst_figures.metrics(clean)
    for pattern in sorted({row["name"] for row in clean}):
        names = [each for each in policies.NAMES if f"{pattern}.{each}.drop_percent" in metrics]
        if names:
            yield f"{'#' * depth} {pattern}\n\n{_table(metrics, pattern, names)}\n{_headlines(metrics, pattern)}"
        yield from _beside(clean, pattern, names)
        if pattern in OF_PATTERN and names:
            yield _each_class(metrics, pattern, names, clean)
        if pattern == MIXED_PATTERN:
            yield _pools(clean)


def _beside(rows: Sequence[Row], pattern: str, names: Sequence[str]) -> Iterator[str]:
    told = {name: found for name in names if (found := burst_figures.beside(rows, pattern, name))}
    if told:
        lines = [
            "The bystander's packets, apart by whether something of another class stood beside them:\n",
            "| policy | " + " | ".join(title for title, _ in BESIDE.values()) + " |",
            "| --- |" + " --: |" * len(BESIDE),
        ]
        for name, found in told.items():
            cells = (form.format(found[key]) if key in found else "" for key, (_, form) in BESIDE.items())
            lines.append("| " + " | ".join([name, *cells]) + " |")
        yield "\n".join(lines) + "\n"


def _clean_rows(answer: Mapping[str, Any]) -> list[Row]:
    return [row for row in answer["rows"] if not row["dirt"]]


EACH: Final = {
    "drop_percent": ("dropped %", "{:.3f}"),
    "rightful_drop_percent": ("dropped % but for SYNs", "{:.3f}"),
    "goodput_mb_per_s": ("goodput MB/s", "{:.2f}"),
    "sojourn_ms_p50": ("queue p50 ms", "{:.1f}"),
    "sojourn_ms_p95": ("queue p95 ms", "{:.1f}"),
    "sojourn_ms_p99": ("queue p99 ms", "{:.1f}"),
    "held_kib_peak": ("held peak KiB", "{:,.0f}"),
    "fairness": ("fairness of connections", "{:.3f}"),
}


def _each_class(metrics: Mapping[str, float], pattern: str, names: list[str], rows: Sequence[Row]) -> str:
    classes = [each["name"] for each in next(row for row in rows if row["name"] == pattern)["classes"]]
    whole = [f"{pattern}.{policy}.{each}" for policy in names for each in classes]
    shown = {key: column for key, column in EACH.items() if any(f"{each}.{key}" in metrics for each in whole)}
    lines = ["Class by class:\n", "| policy | class | " + " | ".join(title for title, _ in shown.values()) + " |"]
    lines.append("| --- | --- |" + " --: |" * len(shown))
    for each in whole:
        _, policy, name = each.rsplit(".", 2)
        cells = (_cell(metrics, f"{each}.{key}", form) for key, (_, form) in shown.items())
        lines.append("| " + " | ".join([policy, name, *cells]) + " |")
    return "\n".join(lines) + "\n"


FULLER: Final = """These samples are from before bulk's goodput was what left the queue within the run: it holds up to
16 MB that stood in the senders' buffers at its end and were sent after it, under every policy alike.
"""


def _pools(rows: Sequence[Row]) -> str:
    """Of the mixed scenario: what each pool did, for those whose smallest is asked for."""
    lines = [] if all("round_trip_ms" in row for row in rows) else [FULLER]
    lines += [
        "Bulk TCP shares the pool; the means of all rounds by pool:\n",
        "| pool KiB | policy | bursty dropped % | bursty queue p99 ms | bulk goodput MB/s | held peak KiB |",
        "| --: | --- | --: | --: | --: | --: |",
    ]
    mine = [row for row in rows if row["name"] == MIXED_PATTERN and row["policy"] in POOL_RIVALS]
    for pool, policy in sorted({(row["pool_bytes"], row["policy"]) for row in mine}):
        these = [row for row in mine if (row["pool_bytes"], row["policy"]) == (pool, policy)]
        bursty, bulk = ([_of(row, name) for row in these] for name in ("bursty", "bulk"))
        lines.append(
            f"| {pool // KIB:,} | {policy} "
            f"| {100 * sum(each['dropped'] for each in bursty) / sum(each['sent'] for each in bursty):.3f} "
            f"| {fmean(each['sojourn_ms_p99'] for each in bursty):.1f} "
            f"| {fmean(each['goodput_bytes_per_s'] for each in bulk) / 1e6:.2f} "
            f"| {fmean(row['node']['held_bytes_peak'] for row in these) / KIB:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def _of(row: Row, name: str) -> Mapping[str, Any]:
    return next(each for each in row["classes"] if each["name"] == name)


def _conditions(answer: Mapping[str, Any]) -> str:
    machine, clean = answer["machine"], _clean_rows(answer)
    loads = [row["load"] for row in clean if "load" in row]
    spread = f"load average {min(loads):.1f} to {max(loads):.1f} meanwhile" if loads else "load average not noted"
    seeds = ", ".join(str(each) for each in sorted({row["seed"] for row in clean}))
    lengths = ", ".join(f"{each:g}" for each in sorted({row["seconds"] for row in clean}))
    since = machine.get("since", machine["date"])
    when = machine["date"] if since == machine["date"] else f"{since} to {machine['date']}"
    made = "one run of that command" if len(burst_parts.commands(answer)) == 1 else "one run of each of these commands"
    beside = [row["took_s"] - row["seconds"] for row in clean if "took_s" in row]
    settling = f"; beside its traffic a sample took {fmean(beside):.1f} s" if beside else ""
    codes = {row.get("code", "not noted") for row in clean}
    return (
        f"Every number below is of {made}: {when}, kernel {machine['kernel']}, "
        f"{machine['cpus']} CPUs shared with other work ({spread}), Python {machine['python']}; seeds {seeds}, runs of "
        f"{lengths} s, {len(clean)} clean samples, {len(answer['rows']) - len(clean)} refused; code "
        f"{', '.join(sorted(codes))}{settling}."
    )


def _commands(answer: Mapping[str, Any]) -> str:
    return "\n".join(_command(each) for each in burst_parts.commands(answer))


def _command(given: str) -> str:
    """As it was given, in lines that a page can show."""
    lines = [f"sudo {given}"]
    while len(lines[-1]) > WIDTH:
        cut = lines[-1].rindex(" ", 0, WIDTH - 2)
        lines[-1:] = [lines[-1][:cut] + " \\", "  " + lines[-1][cut + 1 :]]
    return "\n".join(lines)


def _table(metrics: Mapping[str, float], pattern: str, names: list[str]) -> str:
    lines = ["| policy | " + " | ".join(title for title, _ in COLUMNS.values()) + " |"]
    lines.append("| --- |" + " --: |" * len(COLUMNS))
    for each in names:
        cells = (_cell(metrics, f"{pattern}.{each}.{column}", form) for column, (_, form) in COLUMNS.items())
        lines.append("| " + " | ".join([each, *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(metrics: Mapping[str, float], name: str, form: str) -> str:
    if name not in metrics:
        return ""
    value = form.format(metrics[name])
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return value if low is None or high is None else f"{value} ({form.format(low)} to {form.format(high)})"


def _headlines(metrics: Mapping[str, float], pattern: str) -> str:
    mine = {name: value for name, value in sorted(metrics.items()) if name.startswith(f"{pattern}.")}
    headlines = [f"- `{name}` {value:.3g}" for name, value in mine.items() if name.count(".") == 1]
    return "\n".join(headlines) + "\n" if headlines else ""


def draw(path: Path, seconds: float) -> None:
    """Reactive at the agent's own pace against the product, over the same bursts; a spoiled run is taken again."""
    from sentinel_lab.plots import two_panels  # noqa: PLC0415 - matplotlib takes seconds

    runs = [_clean(name, seconds) for name in ("reactive-100ms", policies.PRODUCT)]
    path.parent.mkdir(parents=True, exist_ok=True)
    floor = SINGLE.floor_bytes // KIB
    path.write_bytes(two_panels(runs, f"Periodic bursts through one node; all start with {floor} KiB"))


def _clean(policy: str, seconds: float) -> Run:
    past_s = PAST_S if policy == policies.PRODUCT else 0.0
    for _ in range(3):
        run = carried_out(Plan(SINGLE, "periodic", policy, seconds, past_s=past_s))
        if not run.dirt:
            return run
    raise Transient(f"the machine spoiled every run of {policy}: {run.dirt[0]}")


def main() -> None:
    later = [json.loads(each.read_text()) for each in sorted(DATA.parent.glob("burst-*.json"))]
    made = page(json.loads(DATA.read_text()), sorted(later, key=lambda each: each["machine"]["date"]))
    if "--check" not in sys.argv:
        PAGE.write_text(made)
    elif made != PAGE.read_text():
        raise SystemExit("docs/benchmarks/burst.md is not what data/burst*.json say: run this without --check")


if __name__ == "__main__":
    main()
