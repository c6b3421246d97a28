"""The page docs/benchmarks/rivals.md, made of a stored run in the VM lane: what the kernel's own disciplines do.

python -m sentinel_lab.bench.rivals_page
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCS: Final = Path(__file__).parents[3] / "docs" / "benchmarks"
DATA: Final = DOCS / "data" / "rivals.json"
PAGE: Final = DOCS / "rivals.md"
NAMES: Final = ("bfifo-small", "bfifo-large", "fq", "fq_codel", "cake", "pie")
REFERENCE: Final = "bfifo-large"
"""Drops nothing and makes everybody wait the longest, so that others' delays are parts of its own."""
BURSTY, BYSTANDER = "bursty", "bystander"

HEAD: Final = """<!-- Made of data/rivals.json by `python -m sentinel_lab.bench.rivals_page`: change those, not this -->
# The kernel's own disciplines, with the same bursts

```sh
{command}
```

Every number on this page is of one run of that command, {date}, in an emulated guest with kernel {kernel}. The guest is
slow, so nothing on this page is a time: delays are ratios to those of `bfifo-large` in the same guest.

Periodic bursts, a tenth of the packets over a tenth of the link of the [comparison](burst.md), one run each, through
one queue on the node's way out, in which both classes stand. Disciplines have the kernel's defaults; the FIFOs are as
small and as large as `static-small` and `static-large` are there. Between them lies what rules that move limits do.

| queue | bursty dropped % | its p50, ratio | its p99, ratio | bystander dropped % | its p99, ratio | clean sample |
| --- | --: | --: | --: | --: | --: | --- |
{rows}

"""


def page(stored: Mapping[str, Any]) -> str:
    ((kernel, figures),) = stored["kernels"].items()
    rows = "\n".join(_rows(figures))
    return HEAD.format(command=stored["command"], date=stored["date"], kernel=kernel, rows=rows)


def _rows(figures: Mapping[str, str]) -> Iterator[str]:
    for name in NAMES:
        if f"{name} {BURSTY} dropped %" not in figures:
            continue
        cells = [
            figures[f"{name} {BURSTY} dropped %"],
            _ratio(figures, name, f"{BURSTY} delay p50 ms"),
            _ratio(figures, name, f"{BURSTY} delay p99 ms"),
            figures[f"{name} {BYSTANDER} dropped %"],
            _ratio(figures, name, f"{BYSTANDER} delay p99 ms"),
            "yes" if figures[f"{name} clean"] == "True" else "no",
        ]
        yield "| " + " | ".join([f"`{name}`", *cells]) + " |"


def _ratio(figures: Mapping[str, str], name: str, what: str) -> str:
    return f"{float(figures[f'{name} {what}']) / float(figures[f'{REFERENCE} {what}']):.3f}"


def main() -> None:
    made = page(json.loads(DATA.read_text()))
    if "--check" in sys.argv and made != PAGE.read_text():
        raise SystemExit("docs/benchmarks/rivals.md is not what data/rivals.json says: run this without --check")
    PAGE.write_text(made)


if __name__ == "__main__":
    main()
