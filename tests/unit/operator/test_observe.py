"""Pods as the kubelet tells of them: what is read out of their status, and what is not believed."""

from datetime import UTC, datetime

import pytest

from sentinel_operator.decide.world import BalancerPod
from sentinel_operator.observe import balancer_pod, running_since


def pod(state, *, started=True, ready="True"):
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]
    container = {"name": "it", "started": started, "ready": True, "state": state}
    meta = {"name": "p", "creationTimestamp": "2030-01-01T12:00:09Z"}
    return {"metadata": meta, "status": {"conditions": conditions, "containerStatuses": [container]}}


RUNNING = {"running": {"startedAt": "2030-01-01T12:00:07Z"}}


def test_an_agent_began_when_its_kubelet_says_so_and_not_when_its_pod_was_made():
    assert running_since(pod(RUNNING)) == datetime(2030, 1, 1, 12, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "state",
    [{}, {"waiting": {"reason": "CrashLoopBackOff"}}, {"terminated": {"exitCode": 1}}, {"running": {}}],
)
def test_a_container_that_does_not_run_has_not_begun(state):
    assert running_since(pod(state)) is None
    assert running_since({"metadata": {"name": "p"}}) is None


@pytest.mark.parametrize(
    ("said", "is_so"),
    [
        pytest.param(pod(RUNNING), BalancerPod("p", started=True, ready=True), id="it works"),
        pytest.param(pod(RUNNING, started=False, ready="False"), BalancerPod("p", False, False), id="it comes up"),
        pytest.param(pod(RUNNING, ready="False"), BalancerPod("p", True, False), id="done, or its node is away"),
    ],
)
def test_how_a_balancer_does(said, is_so):
    assert balancer_pod(said) == is_so
