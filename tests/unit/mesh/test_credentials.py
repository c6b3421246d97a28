"""A mesh is secured by three files or not at all, and what does not fit together is one sentence."""

from dataclasses import replace
from pathlib import Path

import pytest

from sentinel_api.errors import Invalid
from sentinel_mesh.credentials import Credentials, credentials
from sentinel_mesh.engine_config import access, settings
from sentinel_mesh.keys import Keys
from sentinel_mesh.place import Place

ENV = {"SENTINEL_MESH_CA": "/c/ca.crt", "SENTINEL_MESH_CERT": "/c/tls.crt", "SENTINEL_MESH_KEY": "/c/tls.key"}
OWN = Credentials(Path("/c/ca.crt"), Path("/c/tls.crt"), Path("/c/tls.key"))
PLACE = Place("c", "n1", 1, ("tls/10.0.0.1:7447",), credentials=OWN)


def test_credentials_come_from_the_environment():
    assert credentials(ENV) == OWN
    assert credentials({}) is None


@pytest.mark.parametrize("missing", ENV)
def test_two_of_three_files_are_refused(missing):
    with pytest.raises(Invalid, match=missing):
        credentials({name: path for name, path in ENV.items() if name != missing})


def test_the_digest_changes_with_each_file(tmp_path):
    own = Credentials(*(tmp_path / name for name in ("ca", "crt", "key")))
    seen = set()
    for path in (own.ca, own.certificate, own.key):
        path.touch()
    for path in (own.ca, own.certificate, own.key):
        seen.add(own.digest())
        path.write_text("new")
    assert own.digest() not in seen
    assert len(seen) == 3


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"credentials": None}, id="tls without certificates"),
        pytest.param({"listen": ("tcp/10.0.0.1:7447",)}, id="certificates without tls"),
        pytest.param({"peers": ("tcp/10.0.0.2:7447",)}, id="peers in the clear"),
        pytest.param(
            {"credentials": None, "listen": ("tcp/10.0.0.1:7447",), "members": ("n1",)}, id="members without names"
        ),
        pytest.param({"members": ("n1", "a/**")}, id="a member that is a pattern"),
    ],
)
def test_what_does_not_fit_together_is_refused(change):
    with pytest.raises(Invalid, match=" "):
        replace(PLACE, **change)


def test_both_ends_must_show_a_certificate():
    chosen = settings(PLACE)["transport/link/tls"]
    assert chosen["enable_mtls"] is True
    assert chosen["listen_certificate"] == chosen["connect_certificate"] == "/c/tls.crt"


def test_each_member_may_speak_under_its_own_key_only():
    found = access(replace(PLACE, cluster="c", members=("n1", "n2")))
    assert found["default_permission"] == "deny"
    says = {rule["id"]: rule["key_exprs"] for rule in found["rules"] if "put" in rule["messages"]}
    assert says == {"say": ["sentinel/c/**"], "own n1": ["sentinel/c/n1/**"], "own n2": ["sentinel/c/n2/**"]}
    (say,) = (rule for rule in found["rules"] if rule["id"] == "say")
    assert say["flows"] == ["egress"], "what comes in is judged by whom it comes from"
    granted = {policy["subjects"][0]: policy["rules"] for policy in found["policies"]}
    assert granted == {"n1": ["hear", "say", "own n1"], "n2": ["hear", "say", "own n2"]}


def test_in_a_zone_a_member_speaks_under_its_own_name_there_and_for_the_whole_cluster():
    found = access(replace(PLACE, cluster="c", members=("n1", "east"), zone="east"))
    says = {rule["id"]: rule["key_exprs"] for rule in found["rules"] if "put" in rule["messages"]}
    assert says["own n1"] == ["sentinel/c.east/n1/**", "sentinel/c/n1/**"]
    assert Keys("c", "east").digest().startswith(says["own east"][1].removesuffix("**"))


def test_a_zones_router_speaks_for_all_of_its_zone_and_no_node_for_one_of_its_own_making():
    """Whoever listens to every zone would hear it."""
    found = access(replace(PLACE, cluster="c", members=("n1", "zone_b"), zone="zone_a"))
    says = {rule["id"]: rule["key_exprs"] for rule in found["rules"] if "put" in rule["messages"]}
    assert f"{Keys('c', 'zone_b').space}/**" in says["own zone_b"]
    assert not any(key.startswith(f"{Keys('c', 'n1').space}/") for key in says["own n1"])
