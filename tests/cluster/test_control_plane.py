"""The control plane that other tests stand on: real answers, real identities, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import control_plane as planes
from support.cluster.errors import ClusterError
from support.cluster.processes import Identity, wait_until

TESTS = Path(__file__).parents[1]
NAMESPACES = "/api/v1/namespaces"


@pytest.fixture
def plane(tmp_path: Path, control_plane: planes.ControlPlane) -> Iterator[planes.ControlPlane]:
    """One that a test may stop; asking for the shared one skips where the binaries are missing."""
    with planes.running(tmp_path / "plane") as own:
        yield own


def config_map(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}}


def test_an_object_comes_back_as_it_was_sent(control_plane: planes.ControlPlane) -> None:
    status, created = control_plane.request("POST", f"{NAMESPACES}/default/configmaps", config_map("round-trip"))
    assert status == 201, created
    status, read = control_plane.request("GET", f"{NAMESPACES}/default/configmaps/round-trip")
    assert (status, read["data"]) == (200, {"key": "value"})


def test_a_body_of_text_goes_through_untouched(control_plane: planes.ControlPlane) -> None:
    path = f"{NAMESPACES}/default/configmaps/applied?fieldManager=test"
    text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: applied}, data: {key: yaml}}"
    status, answer = control_plane.request("PATCH", path, text, content_type="application/apply-patch+yaml")
    assert (status, answer["data"]) == (201, {"key": "yaml"})


def test_kubectl_uses_the_kubeconfig(control_plane: planes.ControlPlane) -> None:
    version = json.loads(control_plane.kubectl("version", "-o", "json").stdout)
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"]
    assert version["serverVersion"]["gitVersion"].startswith("v1.34.")


def test_an_unknown_token_is_refused(control_plane: planes.ControlPlane) -> None:
    assert control_plane.request("GET", NAMESPACES, token="nobody")[0] == 401


def test_a_made_up_user_is_known_but_may_do_nothing(control_plane: planes.ControlPlane) -> None:
    token = control_plane.token_for("ada", ["readers"], {"example.org/desk": ["7"]})
    assert control_plane.request("GET", NAMESPACES, token=token)[0] == 403
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    _, answer = control_plane.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, token)
    user = answer["status"]["userInfo"]
    assert (user["username"], user["extra"]["example.org/desk"]) == ("ada", ["7"])
    assert set(user["groups"]) == {"readers", "system:authenticated"}


def test_a_made_up_user_with_a_role_may_use_it(control_plane: planes.ControlPlane) -> None:
    token = control_plane.token_for("grace", ["config-readers"])
    control_plane.kubectl("create", "clusterrole", "config-reader", "--verb=list", "--resource=configmaps")
    control_plane.kubectl(
        "create", "clusterrolebinding", "config-reader", "--clusterrole=config-reader", "--group=config-readers"
    )
    path = f"{NAMESPACES}/default/configmaps"
    wait_until("the role", lambda: control_plane.request("GET", path, token=token)[0] == 200, timeout_s=240)


def test_a_token_bound_to_a_pod_names_its_node(control_plane: planes.ControlPlane) -> None:
    control_plane.kubectl("create", "serviceaccount", "agent")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent"},
        "spec": {
            "nodeName": "somewhere",
            "serviceAccountName": "agent",
            "containers": [{"name": "agent", "image": "none.test/none"}],
        },
    }
    assert control_plane.request("POST", f"{NAMESPACES}/default/pods", pod)[0] == 201
    token = control_plane.service_account_token("default", "agent", pod="agent")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    _, answer = control_plane.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, token)
    assert answer["status"]["userInfo"]["username"] == "system:serviceaccount:default:agent"
    assert answer["status"]["userInfo"]["extra"]["authentication.kubernetes.io/node-name"] == ["somewhere"]


def test_the_api_server_and_etcd_come_back_with_what_they_knew(plane: planes.ControlPlane) -> None:
    plane.request("POST", f"{NAMESPACES}/default/configmaps", config_map("kept"))
    plane.kill("apiserver")
    plane.kill("etcd")
    plane.start("etcd")
    plane.start("apiserver")
    assert plane.request("GET", f"{NAMESPACES}/default/configmaps/kept")[0] == 200


def test_controllers_run_when_asked(tmp_path: Path, control_plane: planes.ControlPlane) -> None:
    with planes.running(tmp_path / "whole", parts=planes.WHOLE) as plane:
        path = f"{NAMESPACES}/default/serviceaccounts/default"
        wait_until("the default service account", lambda: plane.request("GET", path)[0] == 200, timeout_s=240)


def test_a_part_that_dies_says_why_in_its_log(tmp_path: Path, control_plane: planes.ControlPlane) -> None:
    plane = planes.ControlPlane(tmp_path / "broken")
    (plane.folder / "pki" / "apiserver.key").write_text("no key")
    try:
        with pytest.raises(ClusterError, match=r"(?s)apiserver (died|ended at once); its log .* ends:.*PEM data"):
            plane.start("apiserver")
    finally:
        plane.close()


@pytest.mark.parametrize(
    ("end", "started"), [(signal.SIGINT, ["etcd"]), (signal.SIGTERM, ["etcd"]), (signal.SIGKILL, [*planes.BARE])]
)
def test_nothing_outlives_a_test_run_that_ends_early(
    tmp_path: Path, control_plane: planes.ControlPlane, end: signal.Signals, started: list[planes.Part]
) -> None:
    script = (
        "import pathlib, signal, sys, time\n"
        "from support.cluster.control_plane import running\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the run is in the background\n"
        "with running(pathlib.Path(sys.argv[1]), parts=sys.argv[2:]):\n"
        "    print('up', flush=True)\n"
        "    time.sleep(600)\n"
    )
    folder = tmp_path / "cut"
    command = [sys.executable, "-c", script, str(folder), *started]
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"up\n"
        parts = [Identity.read(folder / "processes" / f"{part}.json") for part in started]
        run.send_signal(end)
    for part in parts:
        assert part is not None
        assert part.wait(timeout_s=120)
