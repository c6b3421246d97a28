"""Members of a mesh that ask an operator for their certificates, through a real API server."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sentinel_mesh.apiserver import ApiServer
from sentinel_mesh.credentials import Credentials
from sentinel_mesh.enrolment import Enrolment
from sentinel_operator import authority
from support.operators import Bench, nursery, rights, until

TRUSTED = "/api/v1/namespaces/default/configmaps/front-mesh"


def signing(bench: Bench, mesh: dict[str, Any], **environment: str) -> None:
    """Starts an operator that has an authority, with the rights and settings of this part of the chart's values."""
    held = bench.folder / "authority"
    held.mkdir()
    for name, value in authority.founded(datetime.now(UTC)).items():
        (held / name).write_bytes(value)
    bench.plane.kubectl("apply", "-f", "-", stdin=rights(mesh=mesh))
    until(bench, "it may sign", lambda: bench.may("watch", "certificatesigningrequests", "certificates.k8s.io"))
    secured = {"SENTINEL_MESH_PORT": str(mesh["port"]), "SENTINEL_MESH_AUTHORITY": str(held)}
    told = bench._environment("op", "sentinel.test/agent:1") | secured | environment
    bench.operators.append(nursery().start(told, bench.folder / "op.log"))


def trusted(bench: Bench) -> dict[str, str]:
    """What is mounted by every member."""
    found = bench.get(TRUSTED)
    return found["data"] if found else {"members": ""}


def token_on(bench: Bench, account: str, node: str) -> str:
    """What the own token of a pod of that account would be on that node."""
    pod = {
        "metadata": {"name": f"{account}-{node}"},
        "spec": {
            "nodeName": node,
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": "none"}],
        },
    }
    status, made = bench.plane.request("POST", "/api/v1/namespaces/default/pods", pod)
    assert status in (201, 409), made
    return bench.plane.service_account_token("default", account, f"{account}-{node}")


def enrolment(bench: Bench, folder: Path, name: str, token: str) -> tuple[Enrolment, Credentials]:
    """As a member's pod has it: its token, and the ConfigMap that is mounted."""
    folder.mkdir()
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_text(trusted(bench)["ca.crt"])
    at = urlsplit(bench.plane.url)
    assert at.hostname
    assert at.port
    door = ApiServer(at.hostname, at.port, folder / "token", bench.plane.pki.root)
    (folder / "own").mkdir()
    own = Credentials.enrolled_in(folder / "own", folder / "ca.crt")
    return Enrolment(own, name, door), own
