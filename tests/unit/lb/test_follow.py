"""What the balancer is told: YAML or JSON, a sentence for each mistake, and a ConfigMap read with one right."""

import json

import pytest

from sentinel_api.errors import Invalid, Transient
from sentinel_lb.follow import ConfigMap, File, Follower, parsed


def test_json_is_yaml():
    told = {"vips": [{"address": "198.51.100.9", "port": 80}]}
    assert parsed(json.dumps(told)) == parsed("vips:\n- address: 198.51.100.9\n  port: 80\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1, 2]", "must be a mapping"),
        ("a: [", "no YAML"),
        ("vips: [{address: x, port: 80}]", "without a length"),
        ("backends: [{name: a, address: 10.0.0.1}, {name: a, address: 10.0.0.2}]", "twice"),
    ],
)
def test_a_mistake_is_a_sentence(text, sentence):
    with pytest.raises(Invalid, match=sentence):
        parsed(text)


def test_a_file_that_is_not_there_is_the_users_affair(tmp_path):
    with pytest.raises(Invalid, match="name a file that is there"):
        Follower(File(tmp_path / "none"), print).start()


def test_outside_a_pod_there_is_no_configmap(tmp_path):
    with pytest.raises(Invalid, match="give --config FILE"):
        ConfigMap.in_cluster({}, "default", "front-balancer", tmp_path)
    (tmp_path / "token").write_text("t")
    with pytest.raises(Invalid, match="SENTINEL_CONFIG_MAP"):
        ConfigMap.in_cluster({"KUBERNETES_SERVICE_HOST": "127.0.0.1"}, "default", "", tmp_path)


def test_an_api_server_that_is_away_is_asked_again(tmp_path):
    with pytest.raises(Transient, match="does not answer"):
        ConfigMap("127.0.0.1", 9, "default", "front-balancer", tmp_path).read()
