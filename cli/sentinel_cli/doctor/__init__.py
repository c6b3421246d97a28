"""`sentinel doctor`: what this machine can do for Sentinel, and what is missing."""

import json
import sys

import click

from sentinel_cli.doctor import decide, observe, report


@click.command(epilog="The exit code is 0 when the demo can run here, and 1 when something that it needs is missing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
def doctor(as_json: bool) -> None:
    """Tell what this machine can do, and what is missing.

    Looks at the kernel, the rights, the tools and the cluster providers, and changes nothing. Each thing that is
    missing comes with the command that fixes it.

    \b
    Examples:
      sentinel doctor
      sudo sentinel doctor            with the rights that the data plane needs
      sentinel doctor --json | jq -r '.checks[] | select(.state != "ok") | .fix'
    """
    diagnosis = decide.diagnose(observe.machine())
    if as_json:
        click.echo(json.dumps(report.as_json(diagnosis), indent=2))
    else:
        report.show(diagnosis)
    sys.exit(0 if diagnosis.demo_runs else 1)
