"""How the process runs: its environment, read once at start."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sentinel_api.errors import Invalid
from sentinel_operator.render.base import Release


@dataclass(frozen=True, slots=True)
class Settings:
    namespace: str
    identity: str
    release: Release
    health_port: int
    metrics_port: int
    scaler_port: int
    json_logs: bool
    mesh_authority: Path | None = None
    """Where the Secret with the mesh's authority is mounted; None: the mesh speaks in the clear."""


def settings(env: Mapping[str, str] = os.environ) -> Settings:
    """Raises Invalid for what is missing or malformed."""
    image = env.get("SENTINEL_AGENT_IMAGE", "")
    if not image:
        raise Invalid("SENTINEL_AGENT_IMAGE is not set: name the agent's image of this release")
    return Settings(
        namespace=env.get("SENTINEL_NAMESPACE", "sentinel-system"),
        identity=env.get("SENTINEL_POD_NAME", socket.gethostname()),
        release=Release(
            agent_image=image,
            bpffs=env.get("SENTINEL_BPFFS", "/sys/fs/bpf"),
            mesh_port=_port(env, "SENTINEL_MESH_PORT", 0),
            mesh_zones=_said(env, "SENTINEL_MESH_ZONES"),
        ),
        health_port=_port(env, "SENTINEL_HEALTH_PORT", 8081),
        metrics_port=_port(env, "SENTINEL_METRICS_PORT", 8080),
        scaler_port=_port(env, "SENTINEL_SCALER_PORT", 0),
        json_logs=env.get("SENTINEL_LOG_FORMAT", "json") == "json",
        mesh_authority=Path(folder) if (folder := env.get("SENTINEL_MESH_AUTHORITY", "")) else None,
    )


def _said(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "") or "false"
    if text not in ("true", "false"):
        raise Invalid(f"{name} is {text!r}: use true or false")
    return text == "true"


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    lowest = min(default, 1)  # where 0 is the default it switches the thing off
    if not text.isdecimal() or not lowest <= int(text) < 65_536:
        raise Invalid(f"{name} is {text!r}: use a port between {lowest} and 65535")
    return int(text)
