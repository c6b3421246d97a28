"""Pytest plugin: a control plane and clusters for every rung that asks for one; `--cluster` says whose."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import pytest

from support.cluster import control_plane as planes
from support.cluster.binaries import CONTROL_PLANE, binary
from support.cluster.choice import WANTED, Choice, choose
from support.cluster.errors import Unavailable
from support.cluster.provider import Cluster, NodeSpec

CHOICE = pytest.StashKey[Choice]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", choices=WANTED, default="auto", help="which cluster tests use (default: %(default)s)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    choice = config.stash.get(CHOICE, None)
    if choice is not None:
        terminalreporter.write_line(f"cluster: {choice.provider} ({choice.why})")


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


@pytest.fixture(scope="session")
def cluster_choice(request: pytest.FixtureRequest) -> Choice:
    """Asked once a session; a test that needs a cluster skips with the reasons where there can be none."""
    config = request.config
    if CHOICE not in config.stash:
        try:
            config.stash[CHOICE] = choose(config.getoption("--cluster"))
        except Unavailable as reasons:
            pytest.skip(str(reasons))
    return config.stash[CHOICE]


@pytest.fixture(scope="module")
def new_cluster(cluster_choice: Choice) -> Iterator[Callable[[Sequence[NodeSpec]], Cluster]]:
    """Starts clusters of the chosen provider; they end with the module that asked."""
    with contextlib.ExitStack() as started:

        def start(specs: Sequence[NodeSpec]) -> Cluster:
            cluster = cluster_choice.start(specs)
            started.callback(cluster.close)
            return cluster

        yield start
