"""How the process runs: its environment and flags, read once at start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sentinel_api.errors import Invalid
from sentinel_bpf.probe import BPFFS
from sentinel_core.environment import log_level, port
from sentinel_mesh.settings import MeshSettings, mesh_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_IMAGE: Final = Path("/usr/lib/sentinel/bpf/agent.bpf.o")
IN_TREE: Final = Path(__file__).parents[2] / "bpf/build/agent.bpf.o"


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """Where metrics go beside Prometheus; an empty address switches a sink off."""

    influx_url: str
    influx_token_file: Path | None
    otlp_url: str
    every_s: float


@dataclass(frozen=True, slots=True)
class Settings:
    node: str
    namespace: str
    pins: Path
    object_path: Path
    listen: str
    metrics_port: int
    debug_listen: str
    debug_port: int
    log_level: int
    mesh: MeshSettings | None
    """None: this node tells the others nothing."""
    sinks: SinkSettings


def settings(env: Mapping[str, str] = os.environ) -> Settings:
    """Raises Invalid for what is malformed."""
    node = env.get("SENTINEL_NODE_NAME", os.uname().nodename)
    return Settings(
        node=node,
        namespace=env.get("SENTINEL_NAMESPACE", "default"),
        pins=Path(env.get("SENTINEL_BPFFS", str(BPFFS))) / f"sentinel_{node.replace('.', '_')}",
        object_path=Path(env.get("SENTINEL_OBJECT", str(IN_IMAGE if IN_IMAGE.exists() else IN_TREE))),
        listen=env.get("SENTINEL_LISTEN", "0.0.0.0"),  # noqa: S104  kubelet and Prometheus come from outside
        metrics_port=port(env, "SENTINEL_METRICS_PORT", 9465),
        debug_listen=env.get("SENTINEL_DEBUG_LISTEN", "127.0.0.1"),
        debug_port=port(env, "SENTINEL_DEBUG_PORT", 9466),
        log_level=log_level(env),
        mesh=mesh_settings(env),
        sinks=_sinks(env),
    )


def _sinks(env: Mapping[str, str]) -> SinkSettings:
    every = env.get("SENTINEL_SINK_SECONDS", "10")
    if not every.isdecimal() or not 1 <= int(every) <= 3600:
        raise Invalid(f"SENTINEL_SINK_SECONDS is {every!r}: use 1 to 3600")
    token = env.get("SENTINEL_INFLUX_TOKEN_FILE", "")
    if token and not os.access(token, os.R_OK):
        raise Invalid(f"SENTINEL_INFLUX_TOKEN_FILE is {token!r}, which cannot be read: name a file with the token")
    otlp = _url(env, "SENTINEL_OTLP_ENDPOINT")
    return SinkSettings(
        influx_url=_url(env, "SENTINEL_INFLUX_URL"),
        influx_token_file=Path(token) if token else None,
        otlp_url=f"{otlp.rstrip('/')}/v1/metrics" if otlp else "",
        every_s=float(every),
    )


def _url(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "")
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise Invalid(f"{name} is {text!r}: write it as http://HOST:PORT or https://HOST")
    return text
