"""How the process runs: its environment, read once at start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sentinel_bpf.probe import BPFFS
from sentinel_core.environment import log_level, port
from sentinel_mesh.settings import MeshSettings, mesh_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_IMAGE: Final = Path("/usr/lib/sentinel/bpf/lb.bpf.o")
IN_TREE: Final = Path(__file__).parents[2] / "bpf/build/lb.bpf.o"
FRR: Final = Path("/etc/frr")
SECRETS: Final = Path("/etc/sentinel/bgp")


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
    return Settings(
        node=node,
        namespace=env.get("SENTINEL_NAMESPACE", "default"),
        config_map=env.get("SENTINEL_CONFIG_MAP", ""),
        pins=Path(env.get("SENTINEL_BPFFS", str(BPFFS))) / f"sentinel_{node.replace('.', '_')}",
        object_path=Path(env.get("SENTINEL_OBJECT", str(IN_IMAGE if IN_IMAGE.exists() else IN_TREE))),
        listen=env.get("SENTINEL_LISTEN", "0.0.0.0"),  # noqa: S104  kubelet and Prometheus come from outside
        metrics_port=port(env, "SENTINEL_METRICS_PORT", 9467),
        debug_port=port(env, "SENTINEL_DEBUG_PORT", 9468),
        log_level=log_level(env),
        mesh=mesh_settings(env),
        frr=FrrSettings(
            Path(env.get("SENTINEL_FRR", str(FRR))),
            env.get("SENTINEL_FRR_INSTANCE", ""),
            Path(env.get("SENTINEL_BGP_SECRETS", str(SECRETS))),
        ),
    )
