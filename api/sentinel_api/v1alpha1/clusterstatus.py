"""What the operator answers: the state of the cluster in counts, its last decisions, and its conditions."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sentinel_api.v1alpha1.conditions import Condition, Reason
from sentinel_api.v1alpha1.model import Count, Digest, Flag, Int, Model, Percent, Time

# `/scale` carries 32 bits: the server would refuse a larger status.nodes without a word about our schema.
NodeCount = Annotated[Int, Field(ge=0, le=(1 << 31) - 1)]
ShortText = Annotated[str, StringConstraints(max_length=256)]


class Tiers(Model):
    """How many nodes enforce how."""

    a: NodeCount = Field(0, description="Nodes whose queue is a BPF qdisc.")
    b: NodeCount = Field(0, description="Nodes whose queues are HTB classes.")
    c: NodeCount = Field(0, description="Nodes that only observe.")


class RolloutBaseline(Model):
    """What the nodes had dropped when the first changed ones began to be watched."""

    dropped_packets: Count = Field(0, description="Of the changed nodes together.")
    others_dropped_packets: Count = Field(0, description="Of the others together.")


class Rollout(Model):
    """How far a change of version or configuration has come."""

    updated_nodes: NodeCount = Field(0, description="Nodes that run what is wanted.")
    phase: Literal["Done", "Canary", "Soaking", "Spreading", "RollingBack", "Held"] = Field(
        "Done", description="What the rollout is doing."
    )
    message: ShortText = Field("", description="Why it is doing so.")
    target: ShortText = Field("", description="Names the configuration and the agents' version that are rolled out.")
    since: Time | None = Field(None, description="When this phase began.")
    good: ShortText = Field("", description="Target that all nodes last ran.")
    good_config_digest: Digest | None = Field(None, description="Configuration that all nodes last ran, to go back to.")
    sick_nodes: NodeCount = Field(0, description="Nodes that did not work when it began; it is not blamed for them.")
    baseline: RolloutBaseline | None = Field(None, description="What the watched nodes are compared with.")


class DecisionInputs(Model):
    """The numbers that a scaling decision rested on."""

    demand_p95_bytes_per_second: Count = Field(0, description="Forecast demand of the whole cluster, 95th percentile.")
    horizon_seconds: Count = Field(0, description="How far ahead that was.")
    growth_percent: Count = Field(
        0,
        description="What demand gains until then and the next decision, if it goes on to grow as it has.",
    )
    forecasts_count: Flag = Field(
        True, description="Whether forecasts came closer of late than present demand did; else only that counts."
    )
    reporting_nodes: NodeCount = Field(0, description="Nodes with a fresh report.")
    coverage_percent: Percent = Field(0, description="Their share of all nodes.")
    source: Literal["Mesh", "Status", "None"] = Field("None", description="Where the forecasts came from.")


class ScalingDecision(Model):
    """One decision of the autoscaler, written down before it is acted on."""

    decided_at: Time = Field(description="When it was taken.")
    from_nodes: NodeCount = Field(description="Nodes asked for before.")
    to_nodes: NodeCount = Field(description="Nodes asked for since.")
    required_nodes: NodeCount = Field(description="Nodes the forecast called for, before bounds and steps.")
    reactive_nodes: NodeCount = Field(description="Nodes that present demand alone would have called for.")
    applied: Flag = Field(description="Whether it was acted on, or only recommended.")
    reason: Reason = Field(description="Why, as one word.")
    message: ShortText = Field("", description="Why, as a sentence.")
    inputs: DecisionInputs = Field(DecisionInputs(), description="What it rested on.")


class RecentNeed(Model):
    """The most that was called for in one slice of the stabilisation window."""

    since: Time = Field(description="Begin of the slice; it ends where the next one begins.")
    nodes: NodeCount = Field(description="Most nodes called for in it.")


class ScalingStatus(Model):
    """What the autoscaler thinks now."""

    target_nodes: NodeCount | None = Field(
        None, description="Nodes asked for, written down before it is acted on; absent while nobody acts."
    )

    required_nodes: NodeCount = Field(0, description="Nodes that the forecast calls for.")
    reactive_nodes: NodeCount = Field(0, description="Nodes that present demand alone would call for.")
    demand_p95_bytes_per_second: Count = Field(0, description="Forecast demand, 95th percentile.")
    lead_time_seconds: Count = Field(0, description="Time a new node takes to carry traffic, as set or measured.")
    measured_lead_seconds: tuple[Count, ...] = Field(
        (), max_length=5, description="Time the last new nodes took from their label to a working agent, newest first."
    )
    observed_at: Time | None = Field(None, description="When these numbers were computed.")
    last_scale_at: Time | None = Field(None, description="When the number of nodes was last changed.")
    correlation_percent: Percent = Field(100, description="How much nodes deviate from their forecasts together.")
    recent: tuple[RecentNeed, ...] = Field(
        (), max_length=12, description="Nodes called for lately, newest first; more than fits them all is given back."
    )
    decisions: tuple[ScalingDecision, ...] = Field((), max_length=10, description="The last decisions, newest first.")


class LoadBalancerStatus(Model):
    """State of the balancers."""

    ready_replicas: Count = Field(0, description="Balancers that forward.")
    addresses_used: Count = Field(0, description="Addresses given to Services.")
    addresses_total: Count = Field(0, description="Addresses in the pool.")


class BufferClusterStatus(Model):
    """Counts, never lists of nodes: a cluster of a thousand nodes must fit too."""

    observed_generation: Count = Field(0, description="Generation of the spec that this answers.")
    nodes: NodeCount = Field(0, description="Buffer nodes there are.")
    selector: ShortText = Field("", description="Label selector of the agents' pods, for /scale.")
    ready_nodes: NodeCount = Field(0, description="Nodes whose agent works and reports.")
    coverage_percent: Percent = Field(0, description="Share of nodes with a fresh report.")
    tiers: Tiers = Field(Tiers(), description="How many nodes enforce how.")
    class_ids: dict[str, Annotated[Int, Field(ge=1, le=15)]] = Field(
        {}, max_length=15, description="Kernel id of each traffic class; it stays with the name."
    )
    config_digest: Digest | None = Field(None, description="Configuration the nodes should run.")
    rollout: Rollout = Field(Rollout(), description="How far it has come.")
    scaling: ScalingStatus = Field(ScalingStatus(), description="What the autoscaler thinks.")
    load_balancer: LoadBalancerStatus = Field(LoadBalancerStatus(), description="State of the balancers.")
    conditions: tuple[Condition, ...] = Field((), max_length=12, description="What is true of the cluster now.")
