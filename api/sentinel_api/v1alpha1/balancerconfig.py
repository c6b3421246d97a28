"""BalancerConfig: what a balancer obeys; the operator puts it into a ConfigMap, a machine alone into a file."""

import ipaddress
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from sentinel_api.v1alpha1.dataplane import InterfaceName
from sentinel_api.v1alpha1.loadbalancer import Announce
from sentinel_api.v1alpha1.model import Flag, Int, Model, Name, cel
from sentinel_api.v1alpha1.trafficclass import MAX_CLASSES, Cidr, TrafficClass, class_ids

MAX_BACKENDS = 1_024
MAX_VIPS = 255

Address = Annotated[str, StringConstraints(max_length=39)]


class BackendSpec(Model):
    """A buffer node that takes packets."""

    model_config = ConfigDict(
        json_schema_extra=cel(("isIP(self.address)", "address must be an IPv4 or IPv6 address without a length"))
    )

    name: Name = Field(description="Name of the node, by which the mesh knows it.")
    address: Address = Field(description="Where the tunnel to it ends.")
    capacity: Int = Field(1, ge=1, le=1_000, description="Its part of the flows, against those of the others.")
    draining: Flag = Field(False, description="Whether it keeps its flows and gets no new ones.")


class VipSpec(Model):
    """What clients talk to: one address, protocol and port."""

    model_config = ConfigDict(
        json_schema_extra=cel(("isIP(self.address)", "address must be an IPv4 or IPv6 address without a length"))
    )

    address: Address = Field(description="Address of the service.")
    port: Int = Field(ge=1, le=65_535, description="Port of the service.")
    protocol: Literal["TCP", "UDP"] = Field("TCP", description="Transport protocol.")
    backends: tuple[Name, ...] = Field((), max_length=MAX_BACKENDS, description="Nodes that serve it; none means all.")
    sticky: Flag = Field(False, description="Whether a client's address keeps its node (sessionAffinity: ClientIP).")
    idle_seconds: Int | None = Field(
        None, ge=1, le=86_400, description="Silence after which a flow may be placed anew; 300 for TCP, 30 for UDP."
    )

    @property
    def idle_ns(self) -> int:
        chosen = self.idle_seconds or (300 if self.protocol == "TCP" else 30)
        return chosen * 1_000_000_000


class BalancerConfig(Model):
    """Everything one balancer is told; where two balancers are told the same they choose alike."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "size(self.classIds) == 0 || self.trafficClasses.all(c, c.name in self.classIds)",
                "classIds must name every traffic class, or be left out",
            ),
        )
    )

    interface: InterfaceName = Field("", description="Device towards clients and nodes; empty: the default route's.")
    sources: tuple[Cidr, ...] = Field(
        (),
        max_length=2,
        description="Outer source addresses of tunnels, at most a range for each family, over which flows are spread; "
        "none means the interface's own address.",
    )
    encapsulation: Literal["IPIP", "UDP", "None"] = Field("IPIP", description="How packets reach a node.")
    traffic_classes: tuple[TrafficClass, ...] = Field((), max_length=MAX_CLASSES, description="Traffic told apart.")
    class_ids: dict[str, Annotated[Int, Field(ge=1, le=MAX_CLASSES)]] = Field(
        {}, max_length=MAX_CLASSES, description="Kernel id of each class; left out they are counted from 1."
    )
    backends: tuple[BackendSpec, ...] = Field((), max_length=MAX_BACKENDS, description="The nodes.")
    vips: tuple[VipSpec, ...] = Field((), max_length=MAX_VIPS, description="The services.")
    announce: Announce = Field(Announce(), description="How the network learns of the addresses.")
    router_id: Address = Field("", description="BGP's router id; empty: the interface's IPv4 address.")
    drain_seconds: Int = Field(300, ge=0, le=86_400, description="How long a drained node keeps its live flows.")
    probe_interval_millis: Int = Field(25, ge=20, le=1_000, description="Time between two probes of a node.")
    draining: Flag = Field(False, description="Whether this balancer is about to go: its routes become a last resort.")
    detached: Flag = Field(False, description="Whether it hands everything back: addresses, program and pins.")

    @property
    def ids(self) -> Mapping[str, int]:
        return self.class_ids or class_ids((c.name for c in self.traffic_classes), {})

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Self:
        """In Python and not in CEL, whose cost grows with the square of a thousand backends."""
        twice = [name for name, count in Counter(each.name for each in self.backends).items() if count > 1]
        if twice:
            raise PydanticCustomError("backends", "backends names {name} twice: leave one", {"name": twice[0]})
        known = {each.name for each in self.backends}
        for vip in self.vips:
            for name in vip.backends:
                if name not in known:
                    raise PydanticCustomError(
                        "vips", "vips send to {name}, which is not in backends: add it there", {"name": name}
                    )
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all services, each once, in one spelling."""
        return tuple(sorted({str(ipaddress.ip_address(vip.address)) for vip in self.vips}))
