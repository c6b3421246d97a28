"""docs/reference/cli.md, from the parsers of all commands."""

from __future__ import annotations

import inspect
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from pages.markdown import head, table
from sentinel_agent.__main__ import agent
from sentinel_cli.__main__ import sentinel
from sentinel_lb.__main__ import balancer
from sentinel_operator.__main__ import main as operator

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOTS = {"sentinel": sentinel, "sentinel-agent": agent, "sentinel-lb": balancer, "sentinel-operator": operator}
PAGE = """\
{head}
`sentinel` is also `kubectl sentinel`. A mistake of the user ends a command with one sentence and exit code 2, something
that failed with 1. `sentinel COMMAND --help` says the same as this page.

{commands}"""


def page() -> str:
    found = (text for name, command in ROOTS.items() for text in _told(command, click.Context(command, info_name=name)))
    return PAGE.format(head=head("Commands"), commands="\n".join(found))


def _told(command: click.Command, context: click.Context) -> Iterator[str]:
    """A command, then those below it."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## `{context.command_path}`", f"```text\n{usage}\n```", *_paragraphs(command)]
    rows = [_option(each, context) for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if rows:
        parts.append(table(("option", "default", "meaning"), rows).rstrip())
    yield "\n\n".join(parts) + "\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _told(inner, click.Context(inner, info_name=name, parent=context))


def _paragraphs(command: click.Command) -> Iterator[str]:
    """What click prints as it stands, below a \\b, is a block of text here."""
    for paragraph in inspect.cleandoc(command.help or "").split("\f")[0].split("\n\n"):
        before, kept, block = paragraph.partition("\b\n")
        if before.strip():
            yield before.strip()
        if kept:
            yield f"```text\n{block.rstrip()}\n```"


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    names = ", ".join((*option.opts, *option.secondary_opts))
    kind = "" if option.is_flag else f" {option.make_metavar(context)}"
    return f"`{names}{kind}`", _default(option), option.help or ""


def _default(option: click.Option) -> str:
    if option.required:
        return "needed"
    shown = isinstance(option.default, str | int | float | PurePath) and not option.is_flag
    return f"`{option.default}`" if shown and str(option.default) else ""
