"""The two requests to the API server by which a member of the mesh gets its certificate; no library comes along."""

from __future__ import annotations

import http.client
import json
import ssl
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sentinel_api.errors import Invalid, Transient

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S: Final = 10.0
WRONG: Final = {http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.FORBIDDEN, http.HTTPStatus.UNPROCESSABLE_ENTITY}


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Token and authority are the pod's own; the token rotates, so it is read for each request."""

    host: str
    port: int
    token_file: Path
    ca_file: Path

    @classmethod
    def in_cluster(cls, env: Mapping[str, str], account: Path = ACCOUNT) -> ApiServer:
        host = env.get("KUBERNETES_SERVICE_HOST")
        if not host or not (account / "token").exists():
            raise Invalid("this is no pod, so there is no API server to ask: give SENTINEL_MESH_CERT and _KEY instead")
        return cls(host, int(env.get("KUBERNETES_SERVICE_PORT", "443")), account / "token", account / "ca.crt")

    def get(self, path: str) -> dict[str, Any]:
        return self._asked("GET", path)

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The object as it was stored."""
        return self._asked("POST", path, json.dumps(body).encode())

    def _asked(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Raises Invalid for what stays wrong until a person mends it, else Transient."""
        try:
            trusted = ssl.create_default_context(cafile=str(self.ca_file))
            headers = {"Authorization": f"Bearer {self.token_file.read_text().strip()}", "Accept": "application/json"}
            headers |= {"Content-Type": "application/json"} if body else {}
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT_S, context=trusted)
            with closing(connection):
                connection.request(method, path, body=body, headers=headers)
                answer = connection.getresponse()
                status, text = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Transient(f"the API server does not answer {method} {path}: {error}") from error
        if status >= http.HTTPStatus.BAD_REQUEST:
            said = f"the API server answers {method} {path} with {status}: {text[:300].decode(errors='replace')}"
            raise Invalid(said) if status in WRONG else Transient(said)
        try:
            found: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise Transient(f"the API server sent no JSON: {error}") from error
        return found
