"""What the tutorial tells people to type is what runs here; a line that nothing runs is refused."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/tutorial/first-steps.md"
ELSEWHERE = {
    "git clone": "the clones of tests/ground",
    "make check": "CI",
    "make test": "CI",
    "make images": "tests/ground/test_images.py",
    "kind": "nothing: Docker may not be privileged here",
    "helm": "tests/cluster/test_tutorial.py",
    "kubectl": "tests/cluster/test_tutorial.py",
    ".venv/bin/sentinel explain": "tests/cluster/test_operator_scaling.py",
    "sudo .venv/bin/sentinel demo": "tests/netns/test_lab.py and tests/netns/test_demo_fleet.py",
}


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE)
    lines = (line.split(" #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def here() -> list[str]:
    return [line for line in commands() if not line.startswith(tuple(ELSEWHERE))]


def test_the_tutorial_has_commands_and_every_reason_to_leave_one_out_is_used():
    lines = commands()
    assert len(lines) > 8
    assert all(any(line.startswith(left) for line in lines) for left in ELSEWHERE)


def marked(line: str):
    """`make demo` takes a minute: what is quicker goes first."""
    return pytest.param(line, marks=pytest.mark.soak if line.startswith("make") else pytest.mark.slow)


@pytest.mark.parametrize("line", [marked(line) for line in here()])
def test_a_command_of_the_tutorial_runs(line: str):
    done = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_it_says_of_the_doctor_is_so():
    said = subprocess.run([".venv/bin/sentinel", "doctor", "--json"], cwd=ROOT, capture_output=True, check=False)
    found = json.loads(said.stdout)
    assert (said.returncode == 0) == found["demoRuns"]
