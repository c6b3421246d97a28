"""What all API types share: the wire form, null, time, and rules about change."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ConfigDict, Field, ValidationError

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.buffercluster import BufferCluster, BufferClusterSpec
from sentinel_api.v1alpha1.buffernode import BufferNodeSpec, ClusterRef
from sentinel_api.v1alpha1.cel import is_cidr, is_ip
from sentinel_api.v1alpha1.loadbalancer import LoadBalancer
from sentinel_api.v1alpha1.model import Int, Model, Time, cel

DIGEST = "sha256:" + "a" * 64


class Sized(Model):
    model_config = ConfigDict(json_schema_extra=cel(("!has(self.most) || self.least <= self.most", "least above most")))

    least: Int = Field(1, ge=0)
    most: Int | None = None
    seen_at: Time | None = None


def test_the_wire_is_camel_case_and_leaves_out_what_is_unset():
    assert Sized(least=2).wire() == {"least": 2}
    assert Sized(seen_at=datetime(2030, 1, 1, tzinfo=UTC)).wire() == {"least": 1, "seenAt": "2030-01-01T00:00:00Z"}


def test_what_was_written_is_read_back_equal():
    written = Sized(least=3, most=9, seen_at=datetime(2030, 1, 1, 2, 3, 4, 500, tzinfo=timezone(timedelta(hours=2))))
    assert Sized.parse(json.loads(json.dumps(written.wire()))) == written


def test_fields_of_a_newer_writer_are_ignored():
    assert Sized.parse({"least": 2, "colour": "red", "depth": None}) == Sized(least=2)


def test_null_on_the_wire_is_a_field_left_out():
    assert Sized.parse({"least": None, "most": None}) == Sized()
    cluster = BufferCluster.parse({"metadata": {"name": "a"}, "spec": {"agent": {"nodeSelector": {"a": None}}}})
    assert cluster == BufferCluster.parse({"metadata": {"name": "a"}})


def test_null_in_a_list_is_an_item_and_a_wrong_one():
    with pytest.raises(Invalid, match=r"^spec\.trafficClasses\[0\]: must be of type object$"):
        BufferCluster.parse({"metadata": {"name": "a"}, "spec": {"trafficClasses": [None]}})


def test_callers_in_python_may_say_none_for_unset():
    assert Sized(least=1, most=None) == Sized()


def test_a_broken_rule_refuses_python_callers_too():
    with pytest.raises(ValidationError, match="least above most"):
        Sized(least=5, most=4)


@pytest.mark.parametrize(
    "text", ["2030-01-01", "2030-01-01 00:00:00Z", "2030-01-01T00:00:00", "2030-02-30T00:00:00Z", "now", 1893456000]
)
def test_a_time_without_zone_or_sense_is_refused(text):
    with pytest.raises(Invalid, match=r"^seenAt: must be a time such as 2030-01-31T12:00:00Z$"):
        Sized.parse({"seenAt": text})


def test_a_change_that_the_rules_forbid_is_refused_with_its_place():
    before = BufferClusterSpec()
    after = BufferClusterSpec(load_balancer=LoadBalancer(encapsulation="UDP"))
    (sentence,) = after.refused_changes(before, "spec")
    assert sentence.startswith("spec: loadBalancer.encapsulation cannot change")
    assert before.refused_changes(before) == ()


def test_a_node_cannot_move_to_another_cluster():
    here, there = (
        BufferNodeSpec(cluster_ref=ClusterRef(namespace="a", name=name), config_digest=DIGEST) for name in ("x", "y")
    )
    assert here.refused_changes(there) == (
        "<root>: clusterRef cannot change: detach the node, then delete its BufferNode",
    )


def test_every_mistake_gets_a_sentence_of_its_own():
    with pytest.raises(Invalid) as caught:
        BufferCluster.parse({"metadata": {"name": "a"}, "spec": {"nodes": -1, "paused": 3}})
    assert str(caught.value).split("; ") == [
        "spec.paused: must be of type boolean",
        "spec.nodes: should be greater than or equal to 0",
    ]


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.1.2.3/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1/128"])
def test_a_range_is_a_range(text):
    assert is_cidr(text)


@pytest.mark.parametrize(
    "text", ["", "/8", "10.0.0.0", "10.0.0/8", "10.0.0.0/08", "10.0.0.0/-1", "::/129", "a/8", "::ffff:1.2.3.4/96"]
)
def test_anything_else_is_no_range(text):
    assert not is_cidr(text)


def test_an_address_has_no_length():
    assert is_ip("192.0.2.1")
    assert is_ip("2001:db8::1")
    assert not is_ip("192.0.2.1/32")
