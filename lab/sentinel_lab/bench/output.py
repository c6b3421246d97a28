"""The one shape of every benchmark's answer: machine, metrics by stable names, rows with the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from sentinel_lab.report import machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def tell(bench: str, metrics: Mapping[str, float], rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """A metric that could not be measured is absent, never zero: callers leave it out."""
    if as_json:
        click.echo(json.dumps({"bench": bench, "machine": machine(), "metrics": metrics, "rows": rows}, indent=2))
        return
    table = Table(title=f"bench {bench}")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in sorted(metrics.items()):
        table.add_row(name, f"{value:,.4g}")
    Console(highlight=False).print(table)
