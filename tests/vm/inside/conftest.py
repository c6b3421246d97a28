"""What tests inside a guest share: the features that kernels.toml promises of this kernel."""

import os

import pytest


@pytest.fixture(scope="session")
def promised() -> frozenset[str]:
    return frozenset(os.environ["SENTINEL_VM_FEATURES"].split(","))
