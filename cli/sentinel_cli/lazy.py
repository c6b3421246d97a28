"""A command group that imports a command only when it is called.

Each part of the project adds its commands as entry points, and `sentinel --help` must neither wait for the imports of
all of them nor fail because one of them cannot be imported on this machine.
"""

import ast
import importlib.util
import re
from importlib import metadata
from typing import Any

import click

from sentinel_api.errors import Invalid

GROUP = "sentinel.commands"
DISTRIBUTION = "sentinel-buffers"


class LazyGroup(click.Group):
    """Its commands are the entry points of one group, found anew in each process."""

    def __init__(self, *args: Any, entries: tuple[metadata.EntryPoint, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = metadata.entry_points(group=GROUP) if entries is None else entries
        self.entries = {entry.name: entry for entry in found}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.entries, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        return load(entry) if entry else super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message} `{ctx.command_path} --help` lists the commands.", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own
        rows = [(name, summary(self.entries[name])) for name in sorted(self.entries)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def load(entry: metadata.EntryPoint) -> click.Command:
    """The command behind an entry point; what is not installed is the user's to add, anything else is a bug."""
    try:
        command = entry.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".", maxsplit=1)[0]
        if not missing or missing.startswith("sentinel_"):
            raise
        raise Invalid(f"`{entry.name}` needs the Python package {missing}: {how_to_install(missing)}.") from error
    if not isinstance(command, click.Command):
        raise TypeError(f"entry point {entry.name} = {entry.value} is no command")
    return command


def how_to_install(module: str) -> str:
    """The extra that brings a module, as the distribution itself declares it."""
    for requirement in metadata.requires(DISTRIBUTION) or ():
        extra = re.search(r'extra == [\'"]([\w-]+)[\'"]', requirement)
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0].replace("-", "_")
        if extra and module in (name, name.removeprefix("eclipse_")):
            return f"pip install '{DISTRIBUTION}[{extra[1]}]'"
    return f"pip install {module}"


def summary(entry: metadata.EntryPoint) -> str:
    """The first sentence of a command's docstring, read from its source without running it."""
    spec = importlib.util.find_spec(entry.module)
    if spec is None or spec.origin is None:
        return f"(broken: there is no module {entry.module})"
    with open(spec.origin, encoding="utf-8") as source:  # noqa: PTH123 - pathlib costs more than the rest of the start
        tree = ast.parse(source.read())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split()).rstrip(".")
    return ""
