"""How the process runs: its environment and flags, read once at start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sentinel_api.errors import Invalid
from sentinel_bpf.probe import BPFFS
from sentinel_mesh.credentials import Credentials, credentials
from sentinel_mesh.place import listed, roll_of

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS: Final = {"Debug": 10, "Info": 20, "Warning": 30, "Error": 40}
IN_IMAGE: Final = Path("/usr/lib/sentinel/bpf/agent.bpf.o")
IN_TREE: Final = Path(__file__).parents[2] / "bpf/build/agent.bpf.o"


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """Endpoints are written tcp/ADDRESS:PORT; peers that are not there yet are tried for ever."""

    cluster: str
    listen: tuple[str, ...]
    peers: tuple[str, ...]
    credentials: Credentials | None = None
    """None: the mesh speaks in the clear."""
    members: tuple[str, ...] | None = None
    """The only names that are let speak; None: whoever has a certificate."""
    roll: Path | None = None
    """A file that names the members, in the place of `members`."""
    routers: tuple[str, ...] = ()
    """Instead of peers: whose client this node is. Who may speak is then theirs to say."""


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
    level = env.get("SENTINEL_LOG_LEVEL", "Info")
    if level not in LEVELS:
        raise Invalid(f"SENTINEL_LOG_LEVEL is {level!r}: use one of {', '.join(LEVELS)}")
    return Settings(
        node=node,
        namespace=env.get("SENTINEL_NAMESPACE", "default"),
        pins=Path(env.get("SENTINEL_BPFFS", str(BPFFS))) / f"sentinel_{node.replace('.', '_')}",
        object_path=Path(env.get("SENTINEL_OBJECT", str(IN_IMAGE if IN_IMAGE.exists() else IN_TREE))),
        listen=env.get("SENTINEL_LISTEN", "0.0.0.0"),  # noqa: S104  kubelet and Prometheus come from outside
        metrics_port=_port(env, "SENTINEL_METRICS_PORT", 9465),
        debug_listen=env.get("SENTINEL_DEBUG_LISTEN", "127.0.0.1"),
        debug_port=_port(env, "SENTINEL_DEBUG_PORT", 9466),
        log_level=LEVELS[level],
        mesh=_mesh(env),
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


def _mesh(env: Mapping[str, str]) -> MeshSettings | None:
    listen, peers, routers = (listed(env, f"SENTINEL_MESH_{name}") for name in ("LISTEN", "PEERS", "ROUTERS"))
    if routers:
        return MeshSettings(env.get("SENTINEL_MESH_CLUSTER", "default"), (), (), credentials(env), routers=routers)
    if peers and not listen:
        raise Invalid("SENTINEL_MESH_PEERS is set without SENTINEL_MESH_LISTEN: say where this node listens itself")
    if not listen:
        return None
    members = listed(env, "SENTINEL_MESH_MEMBERS") or None
    cluster, roll = env.get("SENTINEL_MESH_CLUSTER", "default"), roll_of(env)
    return MeshSettings(cluster, listen, peers, credentials(env), members, roll)


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or int(text) >= 65_536:
        raise Invalid(f"{name} is {text!r}: use a port up to 65535 (0 takes any that is free)")
    return int(text)
