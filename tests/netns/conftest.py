"""What several of this rung's modules start alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.agent import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def agent(node, tmp_path: Path) -> Iterator[Agent]:
    """Of the module's own `node`, which it hands back before that goes."""
    made = Agent(tmp_path)
    yield made
    made.end_all()
    made.detach()
