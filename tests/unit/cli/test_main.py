"""How `sentinel` ends: a sentence for what the user can act on, a traceback for what is a bug."""

import subprocess
import sys

import pytest

RAISE = """
import sys, click
from sentinel_api.errors import {error}
from sentinel_cli import __main__ as program
@program.sentinel.command("fail")
def fail():
    raise {error}("The cluster has no nodes; add one.")
program.sentinel.entries = {{}}
sys.argv = [{program!r}, "fail"]
program.main()
"""


def run(error: str, program: str = "sentinel") -> subprocess.CompletedProcess[str]:
    code = RAISE.format(error=error, program=program)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("error", "code"), [("Invalid", 2), ("Transient", 1), ("Unsupported", 1)])
def test_an_error_of_ours_is_one_sentence_on_stderr(error: str, code: int):
    ended = run(error)
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        code,
        "",
        "sentinel: The cluster has no nodes; add one.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bench", "burst", "--rounds", "0"), "not in the range 1<=x<=100. `sentinel bench burst --help` says"),
        (("demo", "--scenario", "x"), "'x' is not one of 'bursts', 'failover'."),
        (("bench", "nothing"), "`sentinel bench --help` lists the commands."),
    ],
)
def test_a_wrong_command_line_is_a_sentence_too(arguments: tuple[str, ...], says: str):
    command = [sys.executable, "-m", "sentinel_cli", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_as_a_kubectl_plugin_it_calls_itself_so():
    assert run("Invalid", "/usr/bin/kubectl-sentinel").stderr.startswith("kubectl sentinel: ")


def test_a_bug_keeps_its_traceback():
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            RAISE.replace("raise {error}(", "raise KeyError(").format(error="Invalid", program="sentinel"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
