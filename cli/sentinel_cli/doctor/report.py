"""Shows a diagnosis: a table that fits 80 columns, or one JSON object."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sentinel_cli.doctor.decide import Diagnosis, State

MARKS = {State.OK: ("✓", "green"), State.NOTE: ("·", "yellow"), State.LACKS: ("✗", "bold red")}


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "demoRuns": diagnosis.demo_runs,
        "tier": diagnosis.tier,
        "tierReason": diagnosis.tier_reason,
        "checks": [
            {"name": check.name, "state": check.state.value, "says": check.says, "fix": check.fix}
            for check in diagnosis.checks
        ],
    }


def show(diagnosis: Diagnosis) -> None:
    console = Console()
    table = Table.grid(padding=(0, 2, 0, 0))
    for check in diagnosis.checks:
        mark, style = MARKS[check.state]
        says = Text(check.says, style="" if check.state is State.OK else style)
        if check.fix:
            says.append(f"\n$ {check.fix}", style="cyan")
        table.add_row(Text(mark, style=style), Text(check.name, style="bold"), says)
    console.print(table)
    console.print()
    console.print(_closing(diagnosis), soft_wrap=True)


def _closing(diagnosis: Diagnosis) -> Text:
    if diagnosis.demo_runs:
        return Text(f"The demo can run here, in tier {diagnosis.tier}.", style="bold green")
    return Text("The demo cannot run here yet: mend what is marked ✗ above, then run this again.", style="bold red")
