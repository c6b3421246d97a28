"""Pytest plugin: a real API server that knows our kinds, and short ways to talk to it about them."""

from pathlib import Path
from typing import Any

import pytest

from sentinel_api.crdgen import RESOURCES
from sentinel_api.names import API_VERSION
from support.cluster.control_plane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
PLURAL = {resource.KIND.name: resource.KIND.plural for resource in RESOURCES}
MERGE = "application/merge-patch+json"
Answer = tuple[int, dict[str, Any]]


def collection(kind: str, namespace: str = "default") -> str:
    """Where objects of a kind are made."""
    base = f"/apis/{API_VERSION}"
    return f"{base}/{PLURAL[kind]}" if kind == "BufferNode" else f"{base}/namespaces/{namespace}/{PLURAL[kind]}"


class Kinds:
    """The API server as seen by who writes BufferClusters and BufferNodes."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    def create(self, body: dict[str, Any], *, dry_run: bool = False, token: str | None = None) -> Answer:
        query = "?dryRun=All" if dry_run else ""
        return self.plane.request("POST", collection(body["kind"]) + query, body, token)

    def patch(self, kind: str, name: str, body: dict[str, Any], *, sub: str = "", token: str | None = None) -> Answer:
        return self.plane.request("PATCH", self._path(kind, name, sub), body, token, MERGE)

    def replace(self, body: dict[str, Any], *, sub: str = "", dry_run: bool = False) -> Answer:
        query = "?dryRun=All" if dry_run else ""
        return self.plane.request("PUT", self._path(body["kind"], body["metadata"]["name"], sub) + query, body)

    def get(self, kind: str, name: str, sub: str = "") -> dict[str, Any]:
        status, found = self.plane.request("GET", self._path(kind, name, sub))
        assert status == 200, found
        return found

    def delete(self, kind: str, name: str) -> None:
        status, answer = self.plane.request("DELETE", self._path(kind, name))
        assert status in (200, 404), answer

    def _path(self, kind: str, name: str, sub: str = "") -> str:
        return f"{collection(kind)}/{name}" + (f"/{sub}" if sub else "")


@pytest.fixture(scope="session")
def kinds(control_plane: ControlPlane) -> Kinds:
    """The CRDs are installed and served; objects that a test makes are its own to take away."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    control_plane.wait_served(*PLURAL.values())
    return Kinds(control_plane)
