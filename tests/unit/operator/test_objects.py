"""How objects are named and compared."""

from sentinel_api.v1alpha1.nodeconfig import CONFIG_FILE
from sentinel_operator.objects import PARTING_SINCE, Key, digest, key, signature, signed
from sentinel_operator.render import balancerconfig

CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "n"},
    "data": {"x": "1", "y": "2"},
}


def test_the_order_of_keys_does_not_change_the_digest():
    assert digest(CONFIG) == digest(dict(reversed(CONFIG.items())))


def test_any_change_changes_the_digest():
    assert digest(CONFIG) != digest({**CONFIG, "data": {"x": "1", "y": "3"}})


def test_a_signed_manifest_carries_the_digest_of_the_unsigned_one():
    assert signature(signed(CONFIG)) == digest(CONFIG)


def test_an_object_that_we_did_not_write_has_no_signature():
    assert signature(CONFIG) == ""


def test_a_key_reads_as_people_name_things():
    assert str(key(CONFIG)) == "ConfigMap n/a"
    assert str(Key("v1", "Node", "", "n1")) == "Node n1"


def test_what_balancers_were_told_and_nobody_can_read_is_as_nothing():
    for text in ("{", "[]", '{"vips": [{}]}', '{"vips": 3}'):
        assert balancerconfig.sent_to({"data": {CONFIG_FILE: text}}) == {}
    assert balancerconfig.sent_to(None) == {}
    assert balancerconfig.parting_since({"metadata": {"annotations": {PARTING_SINCE: "yesterday"}}}) is None
