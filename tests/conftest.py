"""The plugins that every rung shares, one a line; a fixture of one rung alone lives beside its tests."""

pytest_plugins = [
    "support.cluster.fixture",
    "support.crds",
    "support.data_plane.fixture",
    "support.front_fixture",
    "support.ladder",
    "support.lanes",
    "support.properties",
    "support.reachable",
]

# These run in the guests of the VM lane, started by the tests in vm/.
collect_ignore = ["vm/inside"]
