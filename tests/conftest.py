"""The plugins that every rung shares, one a line; a fixture of one rung alone lives beside its tests."""

pytest_plugins = [
    "support.cluster.fixture",
    "support.ladder",
]
