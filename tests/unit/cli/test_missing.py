"""Where a part is missing each command says so in one sentence: no cluster, no definitions, an older agent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from sentinel_api.errors import Invalid, SentinelError, Transient
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_cli.cluster import commands, explain, words
from support.worlds import NOW, buffer_node, cluster, report

LOCATION = "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"  # read when the library is imported
ASKING = [
    pytest.param(commands.status, [], id="status"),
    pytest.param(commands.explain, ["buffercluster/front"], id="explain a cluster"),
    pytest.param(commands.explain, ["node/n1"], id="explain a node"),
    pytest.param(commands.drain, ["n1"], id="drain"),
    pytest.param(commands.pause, ["front"], id="pause"),
    pytest.param(commands.report, [], id="report"),
]


@pytest.fixture
def kubeconfig(monkeypatch, tmp_path):
    path = tmp_path / "config"
    monkeypatch.setattr(LOCATION, str(path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.chdir(tmp_path)  # where a report would go
    return path


def refused(command, arguments, kind=SentinelError) -> str:
    """The sentence of an error that `sentinel` shows without a traceback."""
    error = CliRunner().invoke(command, arguments).exception
    assert isinstance(error, kind), repr(error)
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize(("command", "arguments"), ASKING)
def test_without_a_kubeconfig_it_says_what_to_set(kubeconfig, command, arguments):
    assert "KUBECONFIG" in refused(command, arguments, Invalid)


@pytest.mark.parametrize("text", ["", "{{{ nonsense", "[]", "clusters: []\ncurrent-context: gone\n"])
def test_a_kubeconfig_that_is_none_is_one_sentence(kubeconfig, text):
    kubeconfig.write_text(text)
    assert "KUBECONFIG" in refused(commands.status, [], Invalid)


def points_at(kubeconfig, port):
    configured = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here", "users": [{"name": "me", "user": {}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }  # fmt: skip
    kubeconfig.write_text(json.dumps(configured))


def test_a_server_that_is_away_is_one_sentence(kubeconfig):
    points_at(kubeconfig, 1)
    assert "the API server does not answer" in refused(commands.explain, ["node/n1"], Transient)


@pytest.fixture
def without_definitions(kubeconfig):
    """An API server of a cluster where Sentinel was never installed: it knows its own groups."""
    known = {"/apis": {"kind": "APIGroupList", "groups": []}, "/version": {"major": "1", "minor": "30"}}
    known["/api"] = {"kind": "APIVersions", "versions": ["v1"]}
    known["/api/v1"] = {"kind": "APIResourceList", "groupVersion": "v1", "resources": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = known.get(self.path.partition("?")[0].rstrip("/"))
            body = json.dumps(found or {"kind": "Status", "message": "page not found", "code": 404}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        points_at(kubeconfig, server.server_port)
        yield
        server.shutdown()


@pytest.mark.parametrize(("command", "arguments"), [each for each in ASKING if each.id != "report"])
def test_where_it_was_never_installed_it_says_what_to_install(without_definitions, command, arguments):
    assert "install the CRDs first" in refused(command, arguments, Invalid)


def test_an_older_agent_is_told_by_what_it_says():
    """One that reports nothing but that it is there, and one of a version to come."""
    told = report(demand=1)
    bare = buffer_node("n1", cluster(), told).model_copy(update={"status": None})
    assert "spec.nodeName=n1" in explain.told(explain.of_node(bare, NOW))
    said = buffer_node("n1", cluster(), told).wire()
    said["status"] = {"state": "Active", "ofTomorrow": {"strange": True}}
    node = BufferNode.parse(said)
    assert explain.told(explain.of_node(node, NOW))
    assert any("n1" in line for line in words.told(cluster(status={"conditions": []}), (node,), NOW))
