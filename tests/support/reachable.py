"""A folder that every user of the machine can get to: pytest's own are closed again by the next pytest that starts."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def reachable() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sn-reachable-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
