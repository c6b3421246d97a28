"""What users' CI runs is what this repository has: targets, options, files."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def steps(path: Path) -> list[str]:
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    return [step["run"] for job in jobs for step in job.get("steps", ()) if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_is_one_of_ours(path):
    rules = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in steps(path):
        words = re.sub(r"^sudo (--\S+ )?", "", command).split()
        if words[0] == "make":
            assert set(words[1:]) <= rules, command
        else:
            assert words[0] == ".venv/bin/pytest", command
            assert (ROOT / words[1]).is_dir(), command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


def test_the_ladder_is_the_one_of_the_ci_script():
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert any(command.endswith("make test") for path in WORKFLOWS for command in steps(path))
