"""Commands leave the tree as git knows it, and can be run again."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def status(tree: Path) -> str:
    command = ["git", "-c", "safe.directory=*", "status", "--porcelain"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "clone",
        "--quiet",
        "--no-hardlinks",
        str(ROOT),
        str(tmp_path / "clone"),
    ]
    subprocess.run(command, check=True)
    return tmp_path / "clone"


def test_building_twice_and_cleaning_twice_leaves_a_clean_tree(clone: Path):
    for command in (["make", "-C", "bpf", "all"], ["make", "clean"]):
        for _ in range(2):
            subprocess.run(command, cwd=clone, check=True, capture_output=True)
            assert status(clone) == ""


def test_a_second_build_compiles_nothing(clone: Path):
    make = ["make", "-C", "bpf", "all"]
    subprocess.run(make, cwd=clone, check=True, capture_output=True)
    again = subprocess.run(make, cwd=clone, check=True, capture_output=True, text=True)
    assert "clang" not in again.stdout


def test_all_that_ran_before_this_left_the_tree_clean():
    if not os.environ.get("CI"):
        pytest.skip("outside CI the tree may hold work of its own")
    assert status(ROOT) == ""
