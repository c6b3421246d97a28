"""Every object that the API server refuses is refused by the model too, at the same place with the same sentence."""

import pytest

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.buffernode import BufferNode
from support.refused import REFUSED

KINDS = {"BufferCluster": BufferCluster, "BufferNode": BufferNode}


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_the_model_refuses_it_with_one_sentence_that_names_the_place(refused):
    with pytest.raises(Invalid) as caught:
        KINDS[refused.kind].parse(refused.object)
    told = str(caught.value)
    assert told.startswith(f"{refused.path or '<root>'}: ")
    assert refused.sentence in told
    assert told.count("; spec.") + told.count("; status.") == 0


def test_every_rule_of_a_cluster_refuses_something_in_the_table():
    rules = [rule for rule in _rules(BufferCluster.model_json_schema()) if "oldSelf" not in rule["rule"]]
    assert len(rules) > 20
    for rule in rules:
        assert any(refused.sentence in rule["message"] for refused in REFUSED), rule["message"]


def test_the_table_is_as_long_as_was_promised():
    assert len(REFUSED) >= 60
    assert {refused.kind for refused in REFUSED} == set(KINDS)


def _rules(schema):
    for definition in (schema, *schema["$defs"].values()):
        yield from definition.get("x-kubernetes-validations", ())
