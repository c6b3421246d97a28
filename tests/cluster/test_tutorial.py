"""The tutorial's second part, line by line, against a real API server."""

import re
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/tutorial/first-steps.md"


def test_the_tutorials_cluster_commands_do_what_it_says(kinds):
    text = TUTORIAL.read_text()
    lines = [line.split(" #")[0].strip() for line in text.splitlines() if line.startswith("kubectl ")]
    assert len(lines) == 5
    said = [run(kinds, line) for line in lines]
    *fine, broken = said
    assert all(each.returncode == 0 for each in fine), [each.stderr for each in fine]
    assert "front" in fine[2].stdout
    assert broken.returncode != 0, "the tutorial says that the API server refuses this"
    assert re.search(r"min.*max|max.*min", broken.stderr)
    assert "kubectl delete -f deploy/examples/buffercluster.yaml" in text
    assert run(kinds, "kubectl delete -f deploy/examples/buffercluster.yaml").returncode == 0


def run(kinds, line: str) -> subprocess.CompletedProcess[str]:
    _, *words = shlex.split(line)
    words = [str(ROOT / word) if word.startswith(("crds/", "deploy/")) else word for word in words]
    return kinds.plane.kubectl(*words, check=False)
