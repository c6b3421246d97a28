"""The tables of lb.md, placement.md (a moved burst) and cluster.md (both families), made of the runs that are stored.

python -m sentinel_lab.bench.balancer_page [--check]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sentinel_lab.bench import lb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DOCS: Final = Path(__file__).parents[3] / "docs" / "benchmarks"
LOOPS: Final = "in-BPF loop, ns a packet"
AGENTS: Final = {"shipped": "all, as shipped", "shares_only": "the balancer alone", "deaf": "nobody"}
SERVED: Final = {
    "served_v6_bits_per_s": "IPv6 datagrams, 36 flows",
    "bulk_v4_bits_per_s": "bulk TCP over IPv4, 12 connections",
    "bulk_v6_bits_per_s": "bulk TCP over IPv6, 12 connections",
}
ROUNDED: Final = {"moved_percent": "{:.2f}", "broken_percent": "{:.2g}"}
LOAD: Final = "load average"
TO: Final = "\N{EN DASH}"


def of_the_program(text: str, run: Mapping[str, Any]) -> str:
    """Every row that names a metric, and the sentence that says when and where."""
    metrics, rows = run["metrics"], [each for each in run["rows"] if each["what"] == LOOPS]
    for name, row in zip(lb.KINDS, rows, strict=True):
        text = _row(
            text,
            f"`{name}`",
            f"{row['p50']:.0f}",
            f"{row['p50 least']:.0f}{TO}{row['p50 most']:.0f}",
            f"{row['quiet']:.0f}",
        )
    for name in metrics.keys() - lb.KINDS.keys():
        text = _row(text, f"`{name}`", ROUNDED.get(name, "{:,.0f}").format(metrics[name]))
    machine = run["machine"]
    when = f"{machine['date'][:10]} at {machine['date'][11:16]}"
    where = f"kernel {machine['kernel']}, {machine['cpus']} virtual CPUs"
    return _sentence(text, "run", f"{when}, {where} ({_loads(run)})")


def of_a_moved_burst(text: str, run: Mapping[str, Any]) -> str:
    metrics = run["metrics"]
    for name, said in AGENTS.items():
        rounds = [each for each in run["rows"] if each.get("policy") == name]
        text = _row(
            text,
            said,
            str(len(rounds)),
            str(sum(each["lead_ms"] > 0 for each in rounds)),
            f"{metrics[f'moved.lead_ms_min_{name}']:.0f}",
            f"{metrics[f'moved.lead_ms_p50_{name}']:.0f}",
            f"{metrics[f'moved.room_bytes_{name}'] / 1e3:.0f}",
            f"{100 * metrics[f'moved.drop_share_{name}']:.1f}",
        )
    return _sentence(text, "moved", f"{run['machine']['date'][:10]}, {_loads(run)}")


def of_both_families(text: str, run: Mapping[str, Any]) -> str:
    sizes = {row["nodes"]: row for row in run["rows"] if "nodes" in row}
    for name, said in SERVED.items():
        text = _row(text, said, *(f"{sizes[size][name] / 1e6:.1f}" for size in sorted(sizes)))
    return _sentence(text, "families", f"{run['machine']['date'][:10]}, {_loads(run)}")


PAGES: Final[Mapping[str, tuple[str, Callable[[str, Mapping[str, Any]], str]]]] = {
    "lb.json": ("lb.md", of_the_program),
    "placement-moved.json": ("placement.md", of_a_moved_burst),
    "cluster-families.json": ("cluster.md", of_both_families),
}


def _row(text: str, key: str, *cells: str) -> str:
    """The line of a table with `key` among its first cells: what follows is replaced, what is beyond stays."""
    return re.sub(
        rf"^(\|(?:[^|\n]*\|)??[^|\n]*{re.escape(key)} \|)(?:[^|\n]*\|){{{len(cells)}}}",
        lambda found: f"{found[1]} {' | '.join(cells)} |",
        text,
        count=1,
        flags=re.MULTILINE,
    )


def _sentence(text: str, name: str, said: str) -> str:
    """Between two comments, which a reader does not see."""
    return re.sub(
        rf"(<!-- {name} -->).*?(<!-- /{name} -->)", lambda found: f"{found[1]}{said}{found[2]}", text, flags=re.DOTALL
    )


def _loads(run: Mapping[str, Any]) -> str:
    values = [f"{each['value']:.1f}" for each in run["rows"] if str(each.get("what", "")).startswith(LOAD)]
    return f"{LOAD} {' before, '.join(values)} after"


def main() -> None:
    for run, (page, made_of) in PAGES.items():
        path = DOCS / page
        told = path.read_text()
        made = made_of(told, json.loads((DOCS / "data" / run).read_text()))
        if "--check" not in sys.argv:
            path.write_text(made)
        elif made != told:
            raise SystemExit(f"{page} is not what data/{run} says: run python -m sentinel_lab.bench.balancer_page")


if __name__ == "__main__":
    main()
