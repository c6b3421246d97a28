"""The tables of docs/benchmarks/operator.md from data/operator*.json: run it after each new measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

END: Final = "<!-- end -->"
PAGES: Final = Path(__file__).parents[3] / "docs/benchmarks"
ROWS: Final = (
    ("cpu_percent", "of one core, while 25 reports a second arrive (25 s)", "≤ 10, at most 20"),
    ("rss_mib", "highest resident memory", "≤ 200"),
    ("writes_per_s", "of agents and operator together, at the published pace", "≤ 25"),
    ("decision_s", "from the last report of a jump to the decision that knows all of it, interval 10 s", "≤ 10"),
    ("start_s", "from the start of the process to the first decision, the Lease free", "< 15"),
    ("rollout_s", "from no order to orders for all nodes", ""),
    ("leads_s", "from the leader's SIGKILL until the Lease has the other holder", "≤ 20"),
    ("decides_s", "until its first decision is in the status", "≤ 35"),
)
ALIKE: Final = "cpu_percent", "rss_mib", "rollout_s"
"""What may be five times as much at five times as many nodes; the rest is asked for at any size."""


def table(found: dict[str, Any], size: int) -> str:
    metrics = found["metrics"]
    lines = ["| metric | measured | asked for |", "| --- | --: | --: |"]
    for name, words, wanted in ROWS:
        if (value := metrics.get(f"{name}_{size}")) is not None:
            asked = "linear" if size > 1000 and name in ALIKE else wanted
            lines.append(f"| `{name}_{size}`: {words} | {value:.4g} | {asked} |")
    date, load = found["machine"]["date"][:10], metrics["load_average"]
    return "\n".join([*lines, "", f"One run, {date}, load average {load:g} at its end."])


def _with(text: str, size: int, made: str) -> str:
    """The page with that table in the place of the one of that size."""
    before, mark, rest = text.partition(f"<!-- table {size} -->")
    return f"{before}{mark}\n{made}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    page = PAGES / "operator.md"
    text = page.read_text()
    for file, size in (("operator.json", 1000), ("operator-5000.json", 5000)):
        data = PAGES / "data" / file
        if data.exists():
            text = _with(text, size, table(json.loads(data.read_text()), size))
    page.write_text(text)


if __name__ == "__main__":
    main()
