"""The API server refuses every object of the table, at the place and with the sentence that the model gives too."""

import copy

import pytest

from support.refused import REFUSED


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_the_server_refuses_it_with_the_sentence(kinds, refused):
    body = copy.deepcopy(refused.object)
    if refused.half == "status":
        status, answer = _write_status(kinds, body)
    else:
        status, answer = kinds.create(body, dry_run=True)
    assert status == 422, answer
    assert refused.path in answer["message"]
    assert refused.sentence in answer["message"]


def _write_status(kinds, body):
    half = body.pop("status")
    assert kinds.create(body)[0] == 201
    try:
        return kinds.patch(body["kind"], "bad", {"status": half}, sub="status")
    finally:
        kinds.delete(body["kind"], "bad")
