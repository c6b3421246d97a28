"""How the process runs: its environment, read once at start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_bpf.probe import BPFFS
from sentinel_mesh.credentials import Credentials, credentials
from sentinel_mesh.place import listed, roll_of

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS: Final = {"Debug": 10, "Info": 20, "Warning": 30, "Error": 40}
IN_IMAGE: Final = Path("/usr/lib/sentinel/bpf/lb.bpf.o")
IN_TREE: Final = Path(__file__).parents[2] / "bpf/build/lb.bpf.o"
FRR: Final = Path("/etc/frr")
SECRETS: Final = Path("/etc/sentinel/bgp")


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """Endpoints are written tcp/ADDRESS:PORT, or tls/… with credentials; `members` are the only ones let speak."""

    cluster: str
    listen: tuple[str, ...]
    peers: tuple[str, ...]
    credentials: Credentials | None = None
    members: tuple[str, ...] | None = None
    roll: Path | None = None
    """A file that names the members, in the place of `members`."""
    routers: tuple[str, ...] = ()
    """Instead of peers: whose client this balancer is. Who may speak is then theirs to say."""


@dataclass(frozen=True, slots=True)
class FrrSettings:
    """The folder of its configuration, its name where several run on one machine, and the passwords of peers."""

    folder: Path
    instance: str
    secrets: Path


@dataclass(frozen=True, slots=True)
class Settings:
    node: str
    namespace: str
    config_map: str
    pins: Path
    object_path: Path
    listen: str
    metrics_port: int
    debug_port: int
    log_level: int
    mesh: MeshSettings | None
    frr: FrrSettings


def settings(env: Mapping[str, str] = os.environ) -> Settings:
    """Raises Invalid for what is malformed."""
    node = env.get("SENTINEL_NODE_NAME", os.uname().nodename)
    level = env.get("SENTINEL_LOG_LEVEL", "Info")
    if level not in LEVELS:
        raise Invalid(f"SENTINEL_LOG_LEVEL is {level!r}: use one of {', '.join(LEVELS)}")
    return Settings(
        node=node,
        namespace=env.get("SENTINEL_NAMESPACE", "default"),
        config_map=env.get("SENTINEL_CONFIG_MAP", ""),
        pins=Path(env.get("SENTINEL_BPFFS", str(BPFFS))) / f"sentinel_{node.replace('.', '_')}",
        object_path=Path(env.get("SENTINEL_OBJECT", str(IN_IMAGE if IN_IMAGE.exists() else IN_TREE))),
        listen=env.get("SENTINEL_LISTEN", "0.0.0.0"),  # noqa: S104  kubelet and Prometheus come from outside
        metrics_port=_port(env, "SENTINEL_METRICS_PORT", 9467),
        debug_port=_port(env, "SENTINEL_DEBUG_PORT", 9468),
        log_level=LEVELS[level],
        mesh=_mesh(env),
        frr=FrrSettings(
            Path(env.get("SENTINEL_FRR", str(FRR))),
            env.get("SENTINEL_FRR_INSTANCE", ""),
            Path(env.get("SENTINEL_BGP_SECRETS", str(SECRETS))),
        ),
    )


def _mesh(env: Mapping[str, str]) -> MeshSettings | None:
    """None: readiness is never known, so that every flow goes by the ring alone."""
    listen, peers, members, routers = (
        listed(env, f"SENTINEL_MESH_{name}") for name in ("LISTEN", "PEERS", "MEMBERS", "ROUTERS")
    )
    if routers:
        return MeshSettings(env.get("SENTINEL_MESH_CLUSTER", "default"), (), (), credentials(env), routers=routers)
    if peers and not listen:
        raise Invalid("SENTINEL_MESH_PEERS is set without SENTINEL_MESH_LISTEN: say where this balancer listens")
    if not listen:
        return None
    cluster, roll = env.get("SENTINEL_MESH_CLUSTER", "default"), roll_of(env)
    return MeshSettings(cluster, listen, peers, credentials(env), members or None, roll)


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or int(text) >= 65_536:
        raise Invalid(f"{name} is {text!r}: use a port up to 65535 (0 takes any that is free)")
    return int(text)
