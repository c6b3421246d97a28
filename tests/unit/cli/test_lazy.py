"""The command group imports what is called and nothing else."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sentinel_cli import lazy

HEAVY = ("numpy", "kubernetes", "kopf", "onnxruntime", "pydantic", "pyroute2", "rich", "zenoh")


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A group of three commands: one sound, one whose module breaks, one whose module is not there."""
    (tmp_path / "sn_sound.py").write_text(
        'import click\n@click.command()\ndef sound():\n    """Do it.\n\n    At length."""\n    click.echo("done")\n'
    )
    (tmp_path / "sn_broken.py").write_text('import sn_no_such_package\ndef broken():\n    """Break."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    entries = (
        EntryPoint("absent", "sn_absent:absent", lazy.GROUP),
        EntryPoint("broken", "sn_broken:broken", lazy.GROUP),
        EntryPoint("sound", "sn_sound:sound", lazy.GROUP),
    )
    return lazy.LazyGroup(name="sentinel", entries=entries)


def test_help_lists_every_command_with_its_first_sentence_and_imports_none(group):
    answer = CliRunner().invoke(group, ["--help"])
    assert answer.exit_code == 0
    assert "broken  Break" in answer.output
    assert "sound   Do it" in answer.output
    assert "absent  (broken: there is no module sn_absent)" in answer.output
    assert not {"sn_sound", "sn_broken"} & sys.modules.keys()


def test_a_broken_command_leaves_the_others_alone(group):
    answer = CliRunner().invoke(group, ["sound"])
    assert answer.output == "done\n"


def test_a_command_whose_package_is_not_installed_names_the_package(group):
    answer = CliRunner().invoke(group, ["broken"])
    assert str(answer.exception) == (
        "`broken` needs the Python package sn_no_such_package: pip install sn_no_such_package."
    )


def test_a_missing_module_of_ours_is_a_bug_and_keeps_its_traceback():
    entry = EntryPoint("status", "sentinel_cli.no_such:status", lazy.GROUP)
    with pytest.raises(ModuleNotFoundError):
        lazy.load(entry)


def test_an_entry_point_that_is_no_command_is_a_bug():
    with pytest.raises(TypeError, match="is no command"):
        lazy.load(EntryPoint("group", "sentinel_cli.lazy:GROUP", lazy.GROUP))


def test_a_wrong_command_says_where_the_commands_are_listed(group):
    answer = CliRunner().invoke(group, ["snoud"])
    assert answer.exit_code == 2
    assert "`sentinel --help` lists the commands." in answer.output


@pytest.mark.parametrize(("module", "command"), [("kopf", "operator"), ("zenoh", "agent"), ("matplotlib", "lab")])
def test_the_extra_that_brings_a_module_comes_from_the_distribution(module: str, command: str):
    assert lazy.how_to_install(module) == f"pip install 'sentinel-buffers[{command}]'"


def test_every_registered_command_can_be_imported_and_teaches():
    """Each command of the product loads, has a sentence in the list, and examples in its own help."""
    group = lazy.LazyGroup(name="sentinel")
    context = click.Context(group)
    assert group.list_commands(context)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert lazy.summary(group.entries[name]), f"{name} has no docstring"
        assert "Example" in (command.help or ""), f"`sentinel {name} --help` shows no example"


def test_help_imports_nothing_heavy():
    """The start of `sentinel --help` stays a start: no numpy, no Kubernetes client, no drawing library."""
    code = (
        "import sys; from click.testing import CliRunner; from sentinel_cli.__main__ import sentinel;"
        "answer = CliRunner().invoke(sentinel, ['--help']); assert answer.exit_code == 0, answer.output;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(HEAVY) & set(loaded)
