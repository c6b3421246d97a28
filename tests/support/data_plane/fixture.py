"""The data plane, empty at the start of each test: nothing that one test counted is seen by another."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.data_plane.agent import DataPlane

Kept = dict[tuple[str, tuple[tuple[str, int], ...]], DataPlane]


@pytest.fixture(scope="session")
def kept_planes() -> Iterator[Kept]:
    """One for each choice of switches: the verifier takes a quarter of a second."""
    kept: Kept = {}
    yield kept
    for each in kept.values():
        each.object.close()


@pytest.fixture
def load_plane(built: Path, kept_planes: Kept) -> Iterator[Callable[..., DataPlane]]:
    """load_plane(sn_police_on=0): the shipped program with other switches; with other `sizes` it is loaded anew."""
    fresh: list[DataPlane] = []

    def load(program: str = "sn_ingress", sizes: dict[str, int] | None = None, **switches: int) -> DataPlane:
        if sizes:
            fresh.append(DataPlane(program, sizes, **switches))
            return fresh[-1]
        choice = (program, tuple(sorted(switches.items())))
        if choice not in kept_planes:
            kept_planes[choice] = DataPlane(program, {"sn_flows": 4096}, **switches)
        kept_planes[choice].forget()
        return kept_planes[choice]

    yield load
    for each in fresh:
        each.object.close()


@pytest.fixture
def plane(load_plane: Callable[..., DataPlane]) -> DataPlane:
    """As it ships, on a small flow table."""
    return load_plane()
