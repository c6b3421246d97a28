"""The load balancer's part of the spec: how many, which addresses, and how the network learns of them."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sentinel_api.v1alpha1.agent import NodeSelector
from sentinel_api.v1alpha1.model import Flag, Int, Model, cel
from sentinel_api.v1alpha1.trafficclass import Cidr

Asn = Annotated[Int, Field(ge=1, le=4_294_967_295)]
Community = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,5}:[0-9]{1,5}$", max_length=11)]


class Bfd(Model):
    """Fast detection of a dead peer; BGP's own timers cannot go below three seconds."""

    enabled: Flag = Field(True, description="Whether BFD runs beside the session.")
    interval_millis: Int = Field(100, ge=10, le=300, description="Time between two probes.")
    multiplier: Int = Field(3, ge=2, le=50, description="Probes that must be lost before the peer counts as dead.")


class Peer(Model):
    """A router that learns our addresses."""

    model_config = ConfigDict(
        json_schema_extra=cel(("isIP(self.address)", "address must be an IPv4 or IPv6 address without a length"))
    )

    address: Annotated[str, StringConstraints(max_length=39)] = Field(description="Address of the router.")
    asn: Asn = Field(description="AS number of the router.")
    port: Int = Field(179, ge=1, le=65_535, description="TCP port of the router.")
    password_secret: Annotated[str, StringConstraints(max_length=253)] = Field(
        "", description="Secret in this namespace whose key `password` holds the MD5 password; empty means none."
    )
    bfd: Bfd = Field(Bfd(), description="Fast detection of a dead router.")


class Bgp(Model):
    """Announcement by BGP."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.peers.all(p, self.peers.exists_one(q, q.address == p.address))",
                "each peer address may appear once",
            ),
        )
    )

    local_asn: Asn = Field(description="AS number of the balancers.")
    peers: tuple[Peer, ...] = Field(min_length=1, max_length=16, description="Routers to speak to.")
    communities: tuple[Community, ...] = Field(
        (), max_length=16, description="Communities on every route, as 65000:100."
    )
    local_preference: Int = Field(100, ge=0, le=4_294_967_295, description="Preference inside our own AS.")
    med: Int = Field(0, ge=0, le=4_294_967_295, description="Metric for neighbours with several ways to us.")
    graceful_restart_seconds: Int = Field(
        120, ge=0, le=4_095, description="How long routes outlive a restart of the speaker; 0 switches it off."
    )


class Announce(Model):
    """How routers or neighbours learn where the addresses are."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.mode != 'BGP' || has(self.bgp)", "mode BGP needs bgp: give localAsn and at least one peer"),
            ("self.mode == 'BGP' || !has(self.bgp)", "bgp is used in mode BGP only: set mode to BGP or leave bgp out"),
        )
    )

    mode: Literal["ARP", "BGP", "Off"] = Field(
        "ARP", description="ARP (and NDP) for one segment, BGP for routers, Off when something else routes to us."
    )
    bgp: Bgp | None = Field(None, description="Our side of BGP; needed in mode BGP.")


class LoadBalancer(Model):
    """The balancers in front of the buffer nodes."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.addressPool.all(a, isCIDR(a))",
                "addressPool holds ranges such as 192.0.2.0/24 or 2001:db8::/112; write one address as /32 or /128",
            ),
            (
                "self.addressPool.all(a, self.addressPool.exists_one(b, b == a))",
                "each range may appear once in addressPool",
            ),
        )
    )

    replicas: Int = Field(2, ge=0, le=32, description="Number of balancers; 0 runs none.")
    image: Annotated[str, StringConstraints(pattern=r"^[^\s]*$", max_length=512)] = Field(
        "", description="Image of the balancer; empty means the one of the operator's own release."
    )
    node_selector: NodeSelector = Field({}, description="Further labels a node must carry to become an edge node.")
    address_pool: tuple[Cidr, ...] = Field(
        (), max_length=16, description="Ranges from which Services of class sentinel.io/buffer get their address."
    )
    announce: Announce = Field(Announce(), description="How the network learns of the addresses.")
    encapsulation: Literal["IPIP", "UDP", "None"] = Field(
        "IPIP",
        description="How packets reach a node: IPIP; UDP for clouds that block protocol 4; None on one segment.",
    )
    drain_seconds: Int = Field(300, ge=0, le=86_400, description="How long a drained node keeps its live flows.")
    probe_interval_millis: Int = Field(25, ge=20, le=1_000, description="Time between two probes of a node.")
