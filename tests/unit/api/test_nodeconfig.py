"""NodeConfig: the same content has the same digest, and ids follow the names."""

import pytest

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.buffercluster import BufferClusterSpec
from sentinel_api.v1alpha1.nodeconfig import NodeConfig, node_config
from sentinel_api.v1alpha1.trafficclass import Match, TrafficClass

WEB = TrafficClass(name="web", match=(Match(port=80),))
SPEC = BufferClusterSpec(traffic_classes=(WEB,))


def test_equal_contents_have_equal_digests_after_a_round_trip():
    config = node_config(SPEC, {})
    assert NodeConfig.parse(config.wire()).digest == config.digest


def test_what_does_not_matter_on_a_node_does_not_change_its_configuration():
    scaled = SPEC.model_copy(update={"nodes": 7})
    assert node_config(scaled, {}).digest == node_config(SPEC, {}).digest
    other = SPEC.model_copy(update={"pool": SPEC.pool.model_copy(update={"max_bytes": 1 << 20})})
    assert node_config(other, {}).digest != node_config(SPEC, {}).digest


def test_ids_are_those_the_cluster_remembers():
    assert node_config(SPEC, {"web": 9}).ids == {"web": 9}


def test_a_file_may_leave_the_ids_out():
    assert NodeConfig.parse({"trafficClasses": [{"name": "web", "match": [{"port": 80}]}]}).ids == {"web": 1}


def test_ids_that_leave_a_class_out_are_refused():
    with pytest.raises(Invalid, match="classIds must name every traffic class"):
        NodeConfig.parse({"trafficClasses": [{"name": "web", "match": [{"port": 80}]}], "classIds": {"api": 1}})


def test_a_file_is_refused_with_the_clusters_sentence():
    classes = [{"name": "web", "match": [{"port": 80}]}] * 2
    with pytest.raises(Invalid, match="each traffic class needs a name of its own"):
        NodeConfig.parse({"trafficClasses": classes})
