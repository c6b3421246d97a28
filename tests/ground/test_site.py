"""The site builds, strictly: every page is in its nav, every link and anchor leads somewhere."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BUILD = [ROOT / ".venv/bin/mkdocs", "build", "--strict", "--config-file", ROOT / "tools/site/mkdocs.yml"]


def test_the_site_builds_without_a_warning(tmp_path: Path):
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run([*BUILD, "--site-dir", tmp_path], capture_output=True, text=True, check=False, env=env)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "tutorial/first-steps.html").exists()
    assert (tmp_path / "img/levitation.png").exists()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_yaml_block_of_a_page_can_be_read(page: Path):
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE):
        yaml.safe_load(block)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_shell_block_of_a_page_can_be_parsed(page: Path):
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    text = re.sub(r"<([a-z ]+)>", r"\1", "\n".join(blocks))  # a name in angle brackets is the reader's to put in
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
