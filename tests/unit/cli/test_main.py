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
