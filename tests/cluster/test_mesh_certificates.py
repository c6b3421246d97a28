"""A member of the mesh gets a certificate from a real API server and a real operator, for its own node and no other."""

import base64
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from sentinel_api.errors import Invalid
from sentinel_api.names import AGENT_SERVICE_ACCOUNT, NODE_NAME_CLAIM
from sentinel_mesh import certificates
from sentinel_mesh.enrolment import REQUESTS
from sentinel_operator.authority import SECRET
from support import audited
from support.cluster import control_plane as planes
from support.enrolled import enrolment, signing, token_on, trusted
from support.operators import EXAMPLE, SYSTEM, rights, running, until

SECURED = {"mesh": {"port": 7447}}
AGENT = AGENT_SERVICE_ACCOUNT


@pytest.fixture(scope="module")
def bench(tmp_path_factory, control_plane):  # its skip is ours too
    """The ten-line cluster under an operator that signs; nobody runs its nodes, so pods are put there by hand."""
    folder = tmp_path_factory.mktemp("mesh")
    with running(folder, planes.BARE) as here:
        signing(here, SECURED["mesh"])
        here.plane.kubectl("apply", "-f", str(EXAMPLE))
        until(here, "the accounts are there", lambda: here.get(f"/api/v1/namespaces/default/serviceaccounts/{AGENT}"))
        until(here, "members are named", lambda: "n1" in trusted(here)["members"])
        yield here


def test_an_agent_gets_a_certificate_for_its_node_and_renews_it(bench, tmp_path):
    member, own = enrolment(bench, tmp_path / "n1", "n1", token_on(bench, AGENT, "n1"))
    assert member.look(datetime.now(UTC))
    first = certificates.certificate(own.certificate.read_bytes())
    first.verify_directly_issued_by(certificates.certificate(own.ca.read_bytes()))
    assert certificates.common_name(first.subject) == "n1"
    assert member.look(first.not_valid_after_utc)
    assert certificates.certificate(own.certificate.read_bytes()).serial_number != first.serial_number
    assert "certificate_unsigned" not in (bench.folder / "op.log").read_text(), "each was signed once"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("n2", "the token runs on node n1, so it gets no certificate for n2", id="another node"),
        pytest.param("sentinel-operator", "the token runs on node n1", id="the operator"),
    ],
)
def test_an_agent_gets_no_certificate_for_anybody_else(bench, tmp_path, name, why):
    member, own = enrolment(bench, tmp_path / name, name, token_on(bench, AGENT, "n1"))
    with pytest.raises(Invalid, match=why):
        member.look(datetime.now(UTC))
    assert not own.present()


def written(name, signer, **told):
    """A request by hand, for what our own members would never say."""
    request = base64.b64encode(certificates.request("n1").request).decode()
    spec = {"request": request, "signerName": signer, "usages": ["client auth"]} | told
    kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    return kind | {"metadata": {"name": name}, "spec": spec}


def test_a_token_without_a_node_and_a_claim_that_is_only_told_get_nothing(bench, tmp_path):
    """What the request itself says of its asker is written by the API server, whoever sends it."""
    plain = bench.plane.service_account_token("default", AGENT)
    member, _ = enrolment(bench, tmp_path / "plain", "n1", plain)
    with pytest.raises(Invalid, match="the token belongs to no node"):
        member.look(datetime.now(UTC))
    told = {"username": f"system:serviceaccount:default:{AGENT}", "extra": {NODE_NAME_CLAIM: ["n1"]}}
    body = written("forged", "sentinel.io/mesh", **told)
    assert bench.plane.request("POST", REQUESTS, body, token=plain)[0] == 201
    until(bench, "it is answered", lambda: bench.get(f"{REQUESTS}/forged")["status"].get("conditions"))
    status = bench.get(f"{REQUESTS}/forged")["status"]
    assert [each["type"] for each in status["conditions"]] == ["Denied"]
    assert "certificate" not in status


def test_members_may_ask_and_read_and_nothing_else_of_requests(bench):
    token = token_on(bench, AGENT, "n1")
    assert bench.plane.request("GET", REQUESTS, token=token)[0] == 403
    assert bench.plane.request("DELETE", f"{REQUESTS}/forged", token=token)[0] == 403
    approval = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "x", "message": "x"}]}}
    kind = "application/merge-patch+json"
    path = f"{REQUESTS}/forged/approval"
    assert bench.plane.request("PATCH", path, approval, token=token, content_type=kind)[0] == 403


def test_the_operator_answers_no_other_signers_requests(bench):
    """A certificate for clients of the API server would be another matter altogether."""
    body = written("elsewhere", "example.com/other")
    assert bench.plane.request("POST", REQUESTS, body)[0] == 201
    operator = bench.plane.service_account_token(SYSTEM, "sentinel-operator")
    approval = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "x", "message": "x"}]}}
    kind = "application/merge-patch+json"
    answer = bench.plane.request("PATCH", f"{REQUESTS}/elsewhere/approval", approval, operator, kind)
    assert answer[0] == 403
    assert not bench.get(f"{REQUESTS}/elsewhere").get("status", {}).get("conditions")


def test_the_chart_grants_the_signer_what_is_used_and_nothing_more(bench):
    log, user = bench.plane.folder / "audit.jsonl", f"system:serviceaccount:{SYSTEM}:sentinel-operator"
    about = "certificates.k8s.io"
    granted = {right for right in audited.granted(rights(**SECURED), "sentinel-operator") if right[0] == about}
    assert granted == {right for right in audited.used(log, user) if right[0] == about} - {
        (about, "certificatesigningrequests/approval", "update")
    }


def test_the_job_makes_one_authority_and_leaves_it_alone(bench, tmp_path):
    """With the one right that the chart gives it."""
    account = "sentinel-mesh-authority"
    bench.plane.kubectl("create", "serviceaccount", "-n", SYSTEM, account)
    bench.plane.kubectl("create", "role", "-n", SYSTEM, account, "--verb=create", "--resource=secrets")
    bench.plane.kubectl(
        "create", "rolebinding", "-n", SYSTEM, account, f"--role={account}", f"--serviceaccount={SYSTEM}:{account}"
    )
    token = bench.plane.service_account_token(SYSTEM, account)
    kubeconfig = bench.plane.kubeconfig_for(token, tmp_path / "kubeconfig")
    env = os.environ | {"KUBECONFIG": str(kubeconfig), "SENTINEL_NAMESPACE": SYSTEM}
    job = [sys.executable, "-m", "sentinel_operator.authority"]
    subprocess.run(job, env=env, check=True, capture_output=True)
    path = f"/api/v1/namespaces/{SYSTEM}/secrets/{SECRET}"
    made = bench.get(path)
    assert sorted(made["data"]) == ["tls.crt", "tls.key"]
    subprocess.run(job, env=env, check=True, capture_output=True)
    assert bench.get(path)["data"] == made["data"]
