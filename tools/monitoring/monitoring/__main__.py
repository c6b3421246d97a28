"""`python -m monitoring [--check]`: write what is rendered, or tell which file is not as it would be written."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from monitoring.render import CHART, ROOT, RUNBOOKS, files

if TYPE_CHECKING:
    from pathlib import Path

OURS = (RUNBOOKS, CHART, f"{CHART}/dashboards", "deploy/grafana", "deploy/prometheus")


def main() -> int:
    parser = argparse.ArgumentParser(description="Render rules, runbooks and dashboards from tools/monitoring.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if a file is out of date")
    check = parser.parse_args().check
    wanted = files()
    stale = [path for path, text in wanted.items() if not _same(ROOT / path, text)]
    left = [str(path.relative_to(ROOT)) for path in _present() if str(path.relative_to(ROOT)) not in wanted]
    if check:
        for path in stale + left:
            sys.stderr.write(f"{path} is not what tools/monitoring says: run `make monitoring`.\n")
        return 1 if stale or left else 0
    for path in left:
        (ROOT / path).unlink()
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path])
    return 0


def _present() -> list[Path]:
    return [path for folder in OURS for path in sorted((ROOT / folder).glob("*")) if path.is_file()]


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
