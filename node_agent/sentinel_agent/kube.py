"""A client of the API server that does the three things an agent may do: read, watch, and patch its own status.

The whole Kubernetes library costs 126 MB of disk and a second of start-up; the agent needs three verbs. Blocking calls,
so only for threads that are not the tick's.
"""

import http.client
import json
import os
import ssl
import urllib.parse
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentinel_api.errors import Invalid, Transient

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_LINE_BYTES = 1 << 20  # an API object is at most 1.5 MiB in etcd; ours are a hundredth of that


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API server is and how we prove who we are; the token rotates, so its file is read for each call."""

    host: str
    port: int
    token_file: Path
    ca_file: Path

    @classmethod
    def in_cluster(cls, env: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> "Access | None":
        """None on a machine that is no pod."""
        host = env.get("KUBERNETES_SERVICE_HOST")
        if not host or not (account / "token").exists():
            return None
        port = int(env.get("KUBERNETES_SERVICE_PORT", "443"))
        return cls(host, port, account / "token", account / "ca.crt")


class Gone(Transient):
    """The resource version is too old: list again, then watch from there."""


class Api:
    def __init__(self, access: Access, timeout_s: float = 10.0) -> None:
        self.access = access
        self.timeout_s = timeout_s
        self._tls = ssl.create_default_context(cafile=str(access.ca_file))

    def get(self, path: str) -> dict[str, Any] | None:
        """The object, or None where there is none."""
        return self._call("GET", path)

    def merge_patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        return self._call("PATCH", path, json.dumps(body).encode(), "application/merge-patch+json")

    def watch(self, path: str, resource_version: str, seconds: int) -> Generator[dict[str, Any], None, None]:
        """Events after `resource_version` until the server closes the stream, at the latest after `seconds`."""
        query = urllib.parse.urlencode(
            {
                "watch": "1",
                "resourceVersion": resource_version,
                "timeoutSeconds": seconds,
                "allowWatchBookmarks": "true",
            }
        )
        joint = "&" if "?" in path else "?"
        connection = self._connection(timeout_s=seconds + self.timeout_s)
        with closing(connection), closing(self._send(connection, "GET", f"{path}{joint}{query}")) as response:
            _raise_for(response.status, path, b"")
            while line := _line(response, path):
                yield _event(line)

    def _call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> dict[str, Any] | None:
        connection = self._connection(self.timeout_s)
        with closing(connection), closing(self._send(connection, method, path, body, kind)) as response:
            try:
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                raise Transient(f"the API server broke off while answering {method} {path}: {error}") from error
        if response.status == http.HTTPStatus.NOT_FOUND:
            return None
        _raise_for(response.status, path, answer)
        return _object(answer)

    def _connection(self, timeout_s: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.access.host, self.access.port, timeout=timeout_s, context=self._tls)

    def _send(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: bytes | None = None, kind: str = ""
    ) -> http.client.HTTPResponse:
        headers = {"Accept": "application/json", "User-Agent": f"sentinel-agent/{os.getpid()}"}
        if kind:
            headers["Content-Type"] = kind
        try:
            headers["Authorization"] = f"Bearer {self.access.token_file.read_text().strip()}"
            connection.request(method, path, body=body, headers=headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Transient(f"the API server does not answer {method} {path}: {error}") from error


def _line(response: http.client.HTTPResponse, path: str) -> bytes:
    try:
        line = response.readline(MAX_LINE_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise Transient(f"the watch of {path} broke off: {error}") from error
    if len(line) > MAX_LINE_BYTES:
        raise Transient(f"the watch of {path} sent an object of more than {MAX_LINE_BYTES} bytes")
    return line


def _event(line: bytes) -> dict[str, Any]:
    event = _object(line)
    if event.get("type") == "ERROR":
        status = event.get("object", {})
        if status.get("code") == http.HTTPStatus.GONE:
            raise Gone(str(status.get("message", "the watch is too old")))
        raise Transient(str(status.get("message", "the watch ended with an error")))
    return event


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Transient(f"the API server sent no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Transient("the API server sent JSON that is no object")
    return found


def _raise_for(status: int, path: str, answer: bytes) -> None:
    """Denied and malformed are for a person to mend; everything else may go through later."""
    if status < http.HTTPStatus.BAD_REQUEST:
        return
    said = answer[:500].decode(errors="replace")
    if status == http.HTTPStatus.GONE:
        raise Gone(said)
    if status in (http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.FORBIDDEN, http.HTTPStatus.UNPROCESSABLE_ENTITY):
        raise Invalid(f"the API server refuses {path} with {status}: {said}")
    raise Transient(f"the API server answers {path} with {status}: {said}")
