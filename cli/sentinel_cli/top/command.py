"""The command: look, show, obey a key, again."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live

from sentinel_api.errors import Invalid, Transient
from sentinel_cli.top import keys
from sentinel_cli.top.ask import look, targets
from sentinel_cli.top.view import Choice, History, Paper, picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel_cli.top.seen import Line, Node

BETWEEN_LOOKS_S = 0.5
NO_TERMINAL = 150  # columns of a file or a pipe


@click.command()
@click.argument("nodes", nargs=-1, metavar="[HOST[:PORT]]...")
@click.option(
    "--every", type=click.FloatRange(0.2, 60.0), default=1.0, show_default=True, help="Seconds between looks."
)
@click.option("--once", is_flag=True, help="Look once, print, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: for a program.")
def top(nodes: Sequence[str], every: float, once: bool, as_json: bool) -> None:
    """Watch the classes of running agents: traffic, what is expected, room, drops, and why limits are what they are.

    Reads the agents' metrics (port 9465), of this machine if no other is named. Reasons are told on the node itself.

    \b
    Keys: t d r p n sort, / shows only what holds a text, q ends.

    \b
    Examples:
      sentinel top
      sentinel top node1 node2 node3
      sentinel top node1 --once --json
    """
    asked = targets(nodes)
    if as_json and not once:
        raise Invalid("--json prints one look: add --once")
    if once:
        _print_once(asked, as_json)
    elif not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Invalid("this is no terminal to draw in: use --once, or --once --json")
    else:
        _watch(asked, every)


def _print_once(asked: Sequence[tuple[str, str]], as_json: bool) -> None:
    """Two looks, for a rate needs both."""
    history = History()
    history.add(look(asked))
    time.sleep(BETWEEN_LOOKS_S)
    looked = look(asked)
    shown = history.add(looked)
    if as_json:
        click.echo(json.dumps({"nodes": [_told(node) for node in looked], "classes": [_line(line) for line in shown]}))
    else:
        console = Console(width=None if sys.stdout.isatty() else NO_TERMINAL)
        console.print(picture(looked, shown, history, Choice(), Paper(console.width)))
    if all(node.error for node in looked):
        raise Transient("no agent answers: name one (sentinel top HOST), or look at it with kubectl get bufn")


def _told(node: Node) -> dict[str, object]:
    return {
        "name": node.name, "error": node.error, "trusted": node.trusted, "poolBytes": node.pool,
        "forecastBytesPerSecond": node.forecast, "orders": node.orders,
    }  # fmt: skip


def _line(line: Line) -> dict[str, object]:
    return asdict(line) | {"fill": line.fill}


def _watch(asked: Sequence[tuple[str, str]], every: float) -> None:
    history, choice = History(), Choice()
    with keys.single_keys() as terminal, Live(screen=True, auto_refresh=False) as live:
        while True:
            looked = look(asked)
            shown = history.add(looked)
            due = time.monotonic() + every
            while (left := due - time.monotonic()) > 0:
                paper = Paper(live.console.width, live.console.height)
                live.update(picture(looked, shown, history, choice, paper), refresh=True)
                if not keys.obey(choice, keys.pressed(terminal, left)):
                    return
