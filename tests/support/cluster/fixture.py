"""Pytest plugin: a control plane and a cluster for every rung that asks for one."""

from collections.abc import Iterator

import pytest

from support.cluster import control_plane as planes
from support.cluster.binaries import CONTROL_PLANE, binary
from support.cluster.errors import Unavailable


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.ControlPlane]:
    """etcd and kube-apiserver for the whole session: each test takes names of its own."""
    try:
        for name in CONTROL_PLANE:
            binary(name)
    except Unavailable as missing:
        pytest.skip(str(missing))
    with planes.running(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane
