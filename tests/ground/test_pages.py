"""What the pages for people say is so: links lead somewhere, commands exist, the example is the one that is tested."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md")),
    ROOT / "LICENSES" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def targets() -> set[str]:
    """Those that `make help` lists."""
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  make (\S+)", said, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_command_exists(page: Path):
    assert set(re.findall(r"(?:^|`)make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE)) <= targets()


def test_help_lists_every_target_that_is_no_inner_step():
    rules = re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets() == {rule for rule in rules if not rule.startswith("ready-") and rule != "static"}


def test_every_recipe_of_the_makefile_is_one_line():
    recipes = re.findall(r"^[a-z][a-z0-9-]*:.*\n((?:\t.*\n)*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert all(recipe.count("\n") <= 1 for recipe in recipes)


def test_the_example_in_the_readme_is_the_one_that_the_tests_apply():
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    example = (ROOT / "deploy" / "examples" / "buffercluster.yaml").read_text()
    assert block[1] == example
    assert len(example.splitlines()) <= 10


def test_every_c_file_names_its_licence_first():
    sources = [*(ROOT / "bpf").glob("src/*.c"), *(ROOT / "bpf").glob("include/sentinel/*.h")]
    sources += (ROOT / "tests" / "bpf" / "programs").glob("*.c")
    first = {path.name: path.read_text().splitlines()[0] for path in sources if path.name != "vmlinux.h"}
    assert first
    wrong = {
        name for name, line in first.items() if "SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause" not in line
    }
    assert not wrong


def test_the_fragments_make_a_changelog():
    said = subprocess.run(
        [ROOT / ".venv" / "bin" / "towncrier", "build", "--draft", "--version", "next"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "New" in said
