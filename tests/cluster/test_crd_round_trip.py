"""Model and API server agree on every object that hypothesis can think of: accepted by both or refused by both."""

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.buffernode import BufferNode
from support.crd_objects import TIMES, halves
from support.refused import NODE_SPEC

KINDS = {"BufferCluster": BufferCluster, "BufferNode": BufferNode}
# Each example is one request to the shared server, and none leaves anything there.
AGAINST_A_SERVER = settings(max_examples=150, suppress_health_check=[*HealthCheck])


def whole(kind, half, value):
    body = {"apiVersion": "sentinel.io/v1alpha1", "kind": kind, "metadata": {"name": "made"}}
    return body | ({"spec": NODE_SPEC} if kind == "BufferNode" else {}) | {half: value}


@pytest.mark.parametrize("kind", KINDS)
@AGAINST_A_SERVER
@given(data=st.data())
def test_a_spec_is_accepted_by_both_or_by_none(kinds, kind, data):
    body = whole(kind, "spec", data.draw(halves(KINDS[kind], "spec")))
    model, told = _parsed(KINDS[kind], body)
    status, answer = kinds.create(body, dry_run=True)
    assert status in (201, 400, 422), answer
    event(f"{kind}: {'accepted' if model else 'refused'}")
    assert (model is not None) == (status == 201), told or answer
    if model is not None:
        assert answer["spec"] == model.wire()["spec"]
        assert KINDS[kind].parse(answer).spec == model.spec


@pytest.fixture(scope="module", params=KINDS)
def written(request, kinds):
    """An object whose status can be written; dry runs leave it as it is."""
    kind = request.param
    assert kinds.create(whole(kind, "spec", NODE_SPEC if kind == "BufferNode" else {}))[0] == 201
    yield kind
    kinds.delete(kind, "made")


@AGAINST_A_SERVER
@given(data=st.data())
def test_a_status_is_accepted_by_both_or_by_none(kinds, written, data):
    status_half = data.draw(halves(KINDS[written], "status"))
    model, told = _parsed(KINDS[written], whole(written, "status", status_half))
    body = kinds.get(written, "made") | {"status": status_half}
    status, answer = kinds.replace(body, sub="status", dry_run=True)
    assert status in (200, 400, 422), answer
    event(f"{written}: {'accepted' if model else 'refused'}")
    assert (model is not None) == (status == 200), told or answer
    if model is not None:
        assert KINDS[written].parse(answer).status == model.status


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_read_by_both_or_by_none(kinds, written, text):
    """Exhaustive where chance would seldom look: dates are the one format that both sides know by themselves."""
    condition = {"type": "Ready", "status": "True", "reason": "Working", "lastTransitionTime": text}
    body = kinds.get(written, "made") | {"status": {"conditions": [condition]}}
    model, told = _parsed(KINDS[written], body)
    status, answer = kinds.replace(body, sub="status", dry_run=True)
    assert (model is not None) == (status == 200), told or answer


def _parsed(model, body):
    try:
        return model.parse(body), ""
    except Invalid as refusal:
        return None, str(refusal)
