"""What nodes say of their demand in the mesh: seconds newer than the status that they write. Read only.

Where there is no mesh, or it says nothing, the status is what is known; nobody waits for the mesh.
"""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from sentinel_api.errors import Invalid
from sentinel_api.names import MESH_OPERATOR
from sentinel_api.records import HORIZONS_S, Flag, NodeState, Role
from sentinel_api.v1alpha1.buffernode import ForecastPoint, NodeForecast
from sentinel_mesh import certificates
from sentinel_mesh.credentials import Credentials
from sentinel_mesh.mesh import Mesh, incarnation
from sentinel_mesh.place import Place
from sentinel_operator import authority
from sentinel_operator.authority import Authority
from sentinel_operator.due import ClusterName
from sentinel_operator.render import mesh
from sentinel_operator.render.base import Owner

FRESH_NS = 1_000_000_000
UNSURE = Flag.FALLBACK_FORECAST | Flag.FORECAST_GATED
HEARD_AT_MOST = 100  # nodes: ten states a second of each are a few percent of a core; beyond, the status does

log = structlog.get_logger()


def _service(owner: Owner) -> str:
    return f"{mesh.name(owner)}.{owner.namespace}.svc"


@dataclass(slots=True)
class Ear:
    """One place in the mesh of each cluster, taken when it is first asked for; a name that resolves to nobody yet is
    looked up again by the mesh itself."""

    port: int
    authority: Authority | None = None  # None: the mesh speaks in the clear
    host: Callable[[Owner], str] = _service
    zoned: bool = False  # then that is the name of routers, and it hears every zone's members
    _meshes: dict[ClusterName, Mesh[NodeState] | None] = field(default_factory=dict)
    _own: Credentials | None = None

    async def heard(self, owner: Owner, nodes: int, now: datetime) -> dict[str, NodeForecast]:
        """Of every node that spoke within the last second, and foresees; by name."""
        name = ClusterName(owner.namespace, owner.name)
        if nodes > HEARD_AT_MOST:
            self.forget(name)
            return {}
        if name not in self._meshes:
            self._meshes[name] = await asyncio.to_thread(self._joined, owner)
        joined = self._meshes[name]
        await asyncio.to_thread(self._vouched, now)
        if joined is None:
            return {}
        view = joined.view()
        return {
            member.name: forecast(member.state, now - timedelta(microseconds=(view.at_ns - member.heard_ns) / 1_000))
            for member in view.members.values()
            if member.state is not None and member.heard_ns is not None and view.at_ns - member.heard_ns <= FRESH_NS
            if member.state.role is Role.BUFFER and not member.state.flags & UNSURE
        }

    def served(self, name: ClusterName) -> frozenset[str] | None:
        """Nodes that a balancer sends new traffic to, or would if there was some; None where no balancer is heard."""
        joined = self._meshes.get(name)
        shares = [share.intended for share in joined.shares().values()] if joined is not None else []
        if not shares:
            return None
        used = {node for intended in shares for node, amounts in intended.items() if any(amounts)}
        return frozenset(used or {node for intended in shares for node in intended})

    def forget(self, name: ClusterName) -> None:
        left = self._meshes.pop(name, None)
        if left is not None:
            left.close()

    def close(self) -> None:
        for name in tuple(self._meshes):
            self.forget(name)

    def _joined(self, owner: Owner) -> Mesh[NodeState] | None:
        """It offers no state, so it says nothing and is nobody's back end."""
        try:
            own = self._vouched(datetime.now(UTC))
            peer = f"{'tls' if own else 'tcp'}/{self.host(owner)}:{self.port}"
            return Mesh(self._place(owner, peer, own), _silent)
        except Invalid as error:
            log.warning("mesh_not_joined", cluster=owner.label, error=str(error))
            return None

    def _place(self, owner: Owner, end: str, own: Credentials | None) -> Place:
        ends = {"routers": (end,), "wide": True} if self.zoned else {"peers": (end,)}
        return replace(Place(owner.label, MESH_OPERATOR, incarnation(), (), credentials=own), **ends)

    def _vouched(self, now: datetime) -> Credentials | None:
        """The operator needs nobody's signature but its own; the mesh looks itself whether it was renewed."""
        if self.authority is None:
            return None
        if self._own is None:
            folder = Path(tempfile.mkdtemp(prefix="sentinel-mesh-"))
            (folder / "own").mkdir()
            self._own = Credentials.enrolled_in(folder / "own", folder / mesh.AUTHORITIES)
        own, trust = self._own, self.authority.trust().encode()
        if not own.ca.exists() or own.ca.read_bytes() != trust:
            own.ca.write_bytes(trust)
        if not own.present() or now >= certificates.renewal(own.certificate.read_bytes(), trust):
            asked = certificates.request(MESH_OPERATOR)
            own.swap(self.authority.sign(authority.wish(asked.request), now), asked.key)
        return own


def forecast(state: NodeState, heard_at: datetime) -> NodeForecast:
    demand = state.demand
    points = tuple(
        ForecastPoint.model_construct(horizon_seconds=seconds, p50=p50, p95=p95)
        for seconds, p50, p95 in zip(HORIZONS_S, demand.p50, demand.p95, strict=True)
    )
    return NodeForecast.model_construct(
        seq=state.seq, observed_at=heard_at, demand_bytes_per_second=demand.now, points=points
    )


def _silent(told: NodeState, _: int) -> NodeState:
    return told
