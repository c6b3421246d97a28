"""Hands out tokens for made-up users and answers for them when the API server asks (a TokenReview webhook)."""

import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


class Identities:
    """Lives in the test process: tokens of a fixed list could not be added while the API server runs."""

    def __init__(self) -> None:
        self._users: dict[str, dict[str, Any]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="identities", daemon=True)
        self._thread.start()

    def token_for(self, user: str, groups: Sequence[str] = (), extra: Mapping[str, Sequence[str]] | None = None) -> str:
        token = f"user-{secrets.token_hex(16)}"
        self._users[token] = {
            "username": user,
            "groups": list(groups),
            "extra": {key: list(values) for key, values in (extra or {}).items()},
        }
        return token

    def review(self, review: Mapping[str, Any]) -> dict[str, Any]:
        user = self._users.get(review["spec"]["token"])
        status: dict[str, Any] = {"authenticated": False} if user is None else {"authenticated": True, "user": user}
        return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}

    def write_config(self, path: Path) -> None:
        """What `--authentication-token-webhook-config-file` reads."""
        address, port = self._server.server_address[:2]
        cluster = {"name": "identities", "cluster": {"server": f"http://{address!s}:{port}/"}}
        context = {"name": "identities", "context": {"cluster": "identities", "user": ""}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context]}
        path.write_text(yaml.safe_dump(config | {"current-context": "identities"}))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        identities = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(identities.review(review)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
                """Quiet: the test's output is for the test."""

        return Handler
