"""Traffic classes: which packets belong together, and what they may cost and wait."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.model import Int, Model, cel
from sentinel_api.v1alpha1.profiles import PROFILES, Profile, ProfileName

UNMATCHED_ID = 0
MAX_CLASSES = 15  # sixteen in the kernel; id 0 is the traffic that matched nothing
MAX_CLASS_BYTES = 1 << 30

# CEL for "this class's floor", the profile's where the class names none.
_FLOORS = ", ".join(f"'{name}': {profile.floor_bytes}" for name, profile in PROFILES.items())
FLOOR_OF = f"(has({{0}}.floorBytes) ? {{0}}.floorBytes : {{{{{_FLOORS}}}}}[{{0}}.profile])"

ClassName = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=31)]
Cidr = Annotated[str, StringConstraints(max_length=43)]


class Match(Model):
    """One rule; a packet matches when everything given here is true of it."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.port) || has(self.cidr) || has(self.dscp)",
                "a match needs at least one of port, cidr and dscp; traffic that matches nothing is class 0 anyway",
            ),
            ("!has(self.endPort) || has(self.port)", "endPort needs port: together they are a range"),
            ("!has(self.endPort) || !has(self.port) || self.port <= self.endPort", "endPort must not be below port"),
            ("!has(self.cidr) || isCIDR(self.cidr)", "cidr must be a range such as 10.0.0.0/8 or 2001:db8::/32"),
        )
    )

    protocol: Literal["Any", "TCP", "UDP"] = Field("Any", description="Transport protocol.")
    port: Int | None = Field(
        None, ge=1, le=65_535, description="Port of the service: destination of arriving, source of leaving packets."
    )
    end_port: Int | None = Field(None, ge=1, le=65_535, description="Last port of a range that begins at port.")
    cidr: Cidr | None = Field(
        None, description="Addresses of the clients: source of arriving, destination of leaving packets. IPv4 or IPv6."
    )
    dscp: Int | None = Field(None, ge=0, le=63, description="DSCP value in the IP header.")


class TrafficClass(Model):
    """Packets that share a queue. Values left out come from the profile."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                f"!has(self.ceilingBytes) || {FLOOR_OF.format('self')} <= self.ceilingBytes",
                "floorBytes (here or from the profile) must not exceed ceilingBytes",
            ),
        )
    )

    name: ClassName = Field(
        description="Name of the class; it keeps its counters and its forecast as long as it lives."
    )
    profile: ProfileName = Field("network", description="Flow type whose values serve where this class names none.")
    match: tuple[Match, ...] = Field(
        min_length=1, max_length=64, description="Rules in order; one that matches is enough. Earlier classes go first."
    )
    priority: Int | None = Field(
        None, ge=0, le=7, description="Who is served first when the pool is short; 0 is first."
    )
    max_delay_millis: Int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Longest time a packet may wait; the class's limit never exceeds this times the rate.",
    )
    floor_bytes: Int | None = Field(
        None, ge=1_514, le=MAX_CLASS_BYTES, description="Room kept even when no burst is in sight."
    )
    ceiling_bytes: Int | None = Field(
        None, ge=1_514, le=MAX_CLASS_BYTES, description="Room never exceeded, whatever the forecast says."
    )
    weight: Int | None = Field(None, ge=1, le=1_000, description="Share among classes of equal priority.")
    drop_cost: Int | None = Field(
        None,
        ge=1,
        le=1_000,
        description="What losing a byte costs, against 1 for holding one; higher asks for more room.",
    )

    @property
    def resolved(self) -> Profile:
        """The values in force: the class's own, else its profile's."""
        base = PROFILES[self.profile]
        return Profile(
            priority=base.priority if self.priority is None else self.priority,
            max_delay_millis=base.max_delay_millis if self.max_delay_millis is None else self.max_delay_millis,
            floor_bytes=base.floor_bytes if self.floor_bytes is None else self.floor_bytes,
            weight=base.weight if self.weight is None else self.weight,
            drop_cost=base.drop_cost if self.drop_cost is None else self.drop_cost,
        )


# What must hold between the classes and the pool, in every object that has both.
CLASS_RULES = (
    (
        "self.trafficClasses.all(c, self.trafficClasses.exists_one(d, d.name == c.name))",
        "each traffic class needs a name of its own",
    ),
    (
        f"self.trafficClasses.map(c, {FLOOR_OF.format('c')}).sum() <= self.pool.maxBytes",
        "the floors of all traffic classes together must fit into pool.maxBytes",
    ),
    (
        "self.trafficClasses.all(c, !has(c.ceilingBytes) || c.ceilingBytes <= self.pool.maxBytes)",
        "no ceilingBytes may exceed pool.maxBytes",
    ),
)


def class_ids(names: Iterable[str], previous: Mapping[str, int]) -> dict[str, int]:
    """Kernel ids 1 to 15 by class name: a name keeps the id it had, a new one takes the lowest that is free.

    Ids of names that are gone are free only when nothing else is, so that a queue of a removed class empties before
    another class inherits its counters.
    """
    wanted = tuple(names)
    if len(wanted) > MAX_CLASSES:
        raise Invalid(f"{len(wanted)} traffic classes were asked for; leave at most {MAX_CLASSES}")
    ids = {name: previous[name] for name in wanted if name in previous}
    taken = set(ids.values())
    retired = set(previous.values()) - taken
    free = [i for i in range(1, MAX_CLASSES + 1) if i not in taken]
    fresh = iter(sorted(free, key=lambda i: (i in retired, i)))
    return {name: ids[name] if name in ids else next(fresh) for name in wanted}
