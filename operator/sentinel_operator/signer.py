"""Answers requests for certificates of the mesh: reads one, asks who it comes from, signs or refuses, in public."""

import asyncio
import base64
import binascii
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from prometheus_client import Counter

from sentinel_api.errors import Invalid, SentinelError
from sentinel_api.names import MESH_SIGNER
from sentinel_operator import authority
from sentinel_operator.authority import Authority, Wish
from sentinel_operator.cluster import Cluster
from sentinel_operator.decide.enrolment import Asker, refusal
from sentinel_operator.mirror import Mirror
from sentinel_operator.objects import Key, Manifest

API_VERSION, KIND = "certificates.k8s.io/v1", "CertificateSigningRequest"
WAIT_S = 0.5  # for the first list of nodes
REMEMBERED = 1000  # requests whose approval may still be on its way back to us, without the certificate

ANSWERED = Counter("sentinel_operator_certificates", "Requests for certificates of the mesh, by answer.", ["answer"])
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Signer:
    api: Cluster
    authority: Authority
    mirror: Mirror
    signed: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    async def answer(self, request: Manifest) -> None:
        """What cannot be answered now is asked for again by its member, with another request."""
        uid = request["metadata"]["uid"]
        if uid in self.signed or not pending(request):
            return
        while self.mirror.listed_at_s is None:  # else every node would be unknown
            await asyncio.sleep(WAIT_S)
        name = request["metadata"]["name"]
        try:
            try:
                wish = self._granted(request)
            except Invalid as error:
                await self._told(name, "Denied", str(error))
                return
            certificate = self.authority.sign(wish, datetime.now(UTC))
            await self._told(name, "Approved", "the token belongs to the node that the certificate names")
            encoded = base64.b64encode(certificate).decode()
            await self.api.merge(_key(name), {"status": {"certificate": encoded}}, subresource="status")
            self.signed.append(uid)
        except SentinelError as error:
            ANSWERED.labels("failed").inc()
            log.warning("certificate_unsigned", request=name, error=str(error))

    def _granted(self, request: Manifest) -> Wish:
        """Raises Invalid with the reason for a refusal."""
        spec = request["spec"]
        try:
            wish = authority.wish(base64.b64decode(spec["request"], validate=True))
        except binascii.Error as error:
            raise Invalid(f"spec.request is no base64: {error}") from error
        asker = Asker(spec.get("username", ""), spec.get("extra", {}), tuple(spec.get("usages", ())))
        said = refusal(asker, wish.name, tuple(self.mirror.nodes), {each.namespace for each in self.mirror.clusters})
        if said:
            raise Invalid(said)
        return wish

    async def _told(self, name: str, kind: str, why: str) -> None:
        condition = {"type": kind, "status": "True", "reason": "NodeIdentity", "message": why}
        ANSWERED.labels(kind.lower()).inc()
        log.info("certificate_answered", request=name, answer=kind, why=why)
        await self.api.merge(_key(name), {"status": {"conditions": [condition]}}, subresource="approval")


def pending(request: Manifest) -> bool:
    """Whether it is ours and nobody has answered it; one that was approved but not signed is pending still."""
    status: dict[str, Any] = request.get("status") or {}
    refused = any(each["type"] in ("Denied", "Failed") for each in status.get("conditions", ()))
    return request["spec"]["signerName"] == MESH_SIGNER and not refused and not status.get("certificate")


def _key(name: str) -> Key:
    return Key(API_VERSION, KIND, "", name)
