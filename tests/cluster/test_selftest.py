"""`helm test`'s self-test, against a real API server: it names who leads, and what to look at when nobody does."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from sentinel_operator import selftest

NAMESPACE = "selftest"


@pytest.fixture
def namespace(kinds):
    kinds.plane.kubectl("create", "namespace", NAMESPACE)
    yield NAMESPACE
    kinds.plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def lease(holder: str) -> str:
    """By a clock that is ahead, so that it does not matter how long the process takes to start."""
    renewed = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}
    about = {"name": selftest.LEASE_NAME, "namespace": NAMESPACE}
    return json.dumps({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": about, "spec": spec})


def test_a_leader_is_named_and_the_kinds_are_counted(kinds, namespace):
    kinds.plane.kubectl("apply", "-f", "-", stdin=lease("pod-7"))
    env = os.environ | {"KUBECONFIG": str(kinds.plane.kubeconfig), "SENTINEL_NAMESPACE": namespace}
    argv = [sys.executable, "-m", "sentinel_operator.selftest"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pod-7 leads" in done.stdout
    assert "BufferClusters" in done.stdout
