"""The data plane, freshly loaded for each test: nothing that one test counted is seen by another."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.data_plane.agent import DataPlane


@pytest.fixture
def load_plane(built: Path) -> Iterator[Callable[..., DataPlane]]:
    loaded: list[DataPlane] = []

    def load(program: str = "sn_ingress", sizes: dict[str, int] | None = None, **switches: int) -> DataPlane:
        loaded.append(DataPlane(program, {"sn_flows": 4096} | (sizes or {}), **switches))
        return loaded[-1]

    yield load
    for each in loaded:
        each.object.close()


@pytest.fixture
def plane(load_plane: Callable[..., DataPlane]) -> DataPlane:
    """As it ships, on a small flow table."""
    return load_plane()
