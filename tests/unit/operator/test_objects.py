"""How objects are named and compared."""

from sentinel_operator.objects import Key, digest, key, signature, signed

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
