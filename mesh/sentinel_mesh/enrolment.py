"""How a member gets its certificate where nobody mounts one: it makes a key, and asks the cluster to vouch for it.

    key made here ──→ CertificateSigningRequest, with the pod's own token ──→ signed by the operator ──→ files swapped
         ↑                                                                                                    │
         └─────────────────── when two thirds of its life are over, or the authority changed ←────────────────┘

The token says on which node the pod runs; the API server writes that into the request, so nobody asks for another's
name. While it cannot be had, the member buffers or balances as ever, and only the mesh waits.
"""

from __future__ import annotations

import base64
import random
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from sentinel_api.errors import Invalid, SentinelError, Transient
from sentinel_api.names import MESH_SIGNER
from sentinel_mesh import certificates
from sentinel_mesh.apiserver import ApiServer
from sentinel_mesh.credentials import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_mesh.certificates import Request
    from sentinel_mesh.credentials import Credentials

REQUESTS: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
USAGES: Final = ("digital signature", "client auth", "server auth")
LOOK_S: Final = 30.0
"""How often it is looked whether the authority changed or the certificate grew old."""
ANSWER_S: Final = 60.0
ASK_AGAIN_S: Final = 0.5
FIRST_RETRY_S, LAST_RETRY_S = 2.0, 120.0

log = structlog.get_logger()


class Door(Protocol):
    """To the API server."""

    def get(self, path: str) -> Mapping[str, Any]: ...
    def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]: ...


class Enrolment:
    """One thread; the mesh sees its work as files that change."""

    def __init__(self, own: Credentials, node: str, door: Door) -> None:
        self._own, self._node, self._door = own, node, door
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="enrolment", daemon=True)
        self.trouble = ""
        """Why there is no certificate, or none newer; empty when all is well."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        failures, wait_s = 0, 0.0
        while not self._ended.wait(wait_s):
            try:
                self.look(datetime.now(UTC))
            except SentinelError as error:
                if str(error) != self.trouble:
                    log.warning("mesh_certificate_missing", error=str(error))
                self.trouble, failures = str(error), failures + 1
                # Spread, so that a thousand nodes do not ask at one instant when the operator is back.
                wait_s = min(FIRST_RETRY_S * 2 ** (failures - 1), LAST_RETRY_S) * random.uniform(0.5, 1.0)  # noqa: S311
            else:
                self.trouble, failures, wait_s = "", 0, LOOK_S

    def look(self, now: datetime) -> bool:
        """Whether a new certificate came; raises what stood in the way."""
        if self._good_at(now):
            return False
        asked = certificates.request(self._node)
        self._own.swap(self._signed(asked), asked.key)
        log.info("mesh_certificate_received", node=self._node)
        return True

    def _good_at(self, now: datetime) -> bool:
        if not self._own.present():
            return False
        own, authorities = (read(path, "certificate") for path in (self._own.certificate, self._own.ca))
        return now < certificates.renewal(own, authorities)

    def _signed(self, asked: Request) -> bytes:
        """Waits for the answer; an unanswered request is left to the cluster, which sweeps them up."""
        name = self._door.create(REQUESTS, _body(self._node, asked))["metadata"]["name"]
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline and not self._ended.wait(ASK_AGAIN_S):
            status = self._door.get(f"{REQUESTS}/{name}").get("status", {})
            for condition in status.get("conditions", ()):
                if condition["type"] in ("Denied", "Failed"):
                    raise Invalid(f"the mesh certificate was refused: {condition.get('message', condition['type'])}")
            if status.get("certificate"):
                return base64.b64decode(status["certificate"])
        raise Transient(f"nobody signed {name} within {ANSWER_S:g} s: look whether the operator runs")


def enrolled(own: Credentials | None, node: str, env: Mapping[str, str]) -> Enrolment | None:
    """At work already; None for a member whose files others bring. Raises Invalid where there is no API server."""
    if own is None or own.enrolled is None:
        return None
    made = Enrolment(own, node, ApiServer.in_cluster(env))
    made.start()
    return made


def _body(node: str, asked: Request) -> dict[str, Any]:
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": f"sentinel-mesh-{node.replace('_', '-')}-"},
        "spec": {
            "request": base64.b64encode(asked.request).decode(),
            "signerName": MESH_SIGNER,
            "usages": list(USAGES),
        },
    }
