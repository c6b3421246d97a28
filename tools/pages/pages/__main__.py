"""`python -m pages [--check]`: write what the code says, or tell which page says something else."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pages import chart, commands, conditions, environment, metrics

ROOT = Path(__file__).parents[3]


def files(root: Path = ROOT) -> dict[str, str]:
    """Each page by its path in the tree."""
    return {
        "deploy/helm/sentinel/README.md": chart.page(root / "deploy/helm/sentinel"),
        "docs/reference/cli.md": commands.page(),
        "docs/reference/conditions.md": conditions.page(root),
        "docs/reference/configuration.md": environment.page(),
        "docs/reference/metrics.md": metrics.page(root),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the reference pages of tools/pages.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if a page is out of date")
    check = parser.parse_args().check
    stale = {path: text for path, text in files().items() if not _same(ROOT / path, text)}
    for path, text in stale.items():
        if check:
            sys.stderr.write(f"{path} is not what the code says: run `make pages`.\n")
        else:
            (ROOT / path).write_text(text)
            sys.stdout.write(f"wrote {path}\n")
    return 1 if check and stale else 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
