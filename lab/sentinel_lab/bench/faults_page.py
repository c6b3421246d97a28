"""The table of docs/benchmarks/agent-faults.md, made of what the tests of faults left in out/agent-faults.json.

python -m sentinel_lab.bench.faults_page [out/agent-faults.json | --check]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[3]
TOLD: Final = ROOT / "out" / "agent-faults.json"
KEPT: Final = ROOT / "docs" / "benchmarks" / "data" / "agent-faults.json"
PAGE: Final = ROOT / "docs" / "benchmarks" / "agent-faults.md"

COLUMNS: Final = {
    "sent": "sent",
    "lost": "lost",
    "without_orders_ms": "without orders, ms",
    "longest_silence_s": "longest silence, s",
    "ticks_missed": "ticks missed",
}
TABLE: Final = re.compile(r"^\| fault \|.*?\n(?=\n|\Z)", re.MULTILINE | re.DOTALL)


def table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """A fault a line, with what all share in columns of their own and the rest in words."""
    head = f"| fault | {' | '.join(COLUMNS.values())} | else |\n|---|{'--:|' * len(COLUMNS)}---|\n"
    return head + "".join(_line(fault, found) for fault, found in sorted(figures.items()))


def _line(fault: str, found: Mapping[str, Any]) -> str:
    cells = [_number(found[name]) if name in found else "" for name in COLUMNS]
    words = ", ".join(f"{name.replace('_', ' ')} {found[name]}" for name in sorted(found) if name not in COLUMNS)
    return f"| {fault} | {' | '.join(cells)} | {words} |\n"


def _number(value: float) -> str:
    return f"{value:g}" if value < 10 else f"{value:,.0f}"


def main() -> None:
    """Figures of this run replace those of the same faults; the others stay as they were."""
    if "--check" in sys.argv:
        _checked()
        return
    told = Path(sys.argv[1]) if len(sys.argv) > 1 else TOLD
    figures = json.loads(KEPT.read_text()) | json.loads(told.read_text())
    KEPT.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(TABLE.sub(lambda _: table(figures), PAGE.read_text(), count=1))


def _checked() -> None:
    found = TABLE.search(PAGE.read_text())
    if found is None or found.group() != table(json.loads(KEPT.read_text())):
        raise SystemExit(
            "docs/benchmarks/agent-faults.md is not what data/agent-faults.json says: run this without --check"
        )


if __name__ == "__main__":
    main()
