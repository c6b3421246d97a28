"""`sentinel bench`: the benchmarks of all parts, each imported only when it is called."""

from importlib import metadata

import click

from sentinel_cli.lazy import LazyGroup

GROUP = "sentinel.benchmarks"


@click.group(cls=LazyGroup, entries=tuple(metadata.entry_points(group=GROUP)))
def bench() -> None:
    """Measure one part, and print what was measured as a table or as JSON.

    \b
    Examples:
      sentinel bench burst --quick --json
      sentinel bench buffer
    """
