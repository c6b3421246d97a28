"""BufferNode: what the operator orders of one node, and what its agent reports; at most 2 KiB."""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.conditions import NodeCondition, Reason
from sentinel_api.v1alpha1.kinds import Column, Kind, Resource
from sentinel_api.v1alpha1.model import Digest, Flag, Int, Label, Model, Percent, Time, cel

# Bounds that keep the whole object below 2 KiB; the amounts are beyond what a node can carry.
MAX_VERSION = 36
MAX_TALLY = 999_999_999
MAX_AMOUNT = 999_999_999_999
VersionText = Annotated[str, StringConstraints(max_length=MAX_VERSION)]
ShortReason = Annotated[Reason, Field(max_length=28)]
Tally = Annotated[Int, Field(ge=0, le=MAX_TALLY)]
Amount = Annotated[Int, Field(ge=0, le=MAX_AMOUNT)]

# The horizons that the model answers for; the operator reads the one its lead time asks for.
HORIZONS_SECONDS = (30, 60, 120, 300)


class ClusterRef(Model):
    """The BufferCluster that a node belongs to."""

    namespace: Label = Field(description="Namespace of the BufferCluster.")
    name: Annotated[Label, Field(max_length=40)] = Field(description="Name of the BufferCluster.")


class BufferNodeSpec(Model):
    """Orders for one node. Rules and limits are in a ConfigMap named by its content."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.clusterRef == oldSelf.clusterRef",
                "clusterRef cannot change: detach the node, then delete its BufferNode",
            ),
        )
    )

    cluster_ref: ClusterRef = Field(description="The BufferCluster this node belongs to.")
    config_digest: Digest = Field(description="Digest of the configuration that the agent should run.")
    desired_state: Literal["Active", "Draining", "Detached"] = Field(
        "Active",
        description="Active serves; Draining takes no new flows; Detached hands everything back to the system.",
    )
    report_seconds: Int = Field(
        10,
        ge=10,
        le=3_600,
        description="The agent writes its status at most this often, and every third at the latest.",
    )


class Versions(Model):
    """What runs on the node."""

    agent: VersionText = Field("", description="Version of the agent.")
    kernel: VersionText = Field("", description="Release of the kernel.")
    abi: Tally = Field(0, description="Version of the layouts shared with the kernel programs.")


class DataPlaneStatus(Model):
    """How the node enforces."""

    tier: Literal["A", "B", "C"] = Field(description="A: BPF qdisc; B: HTB classes; C: it only observes.")
    reason: ShortReason = Field(description="Why this tier, as one word.")


class ForecastPoint(Model):
    """Traffic of the node some time ahead, in bytes per second."""

    horizon_seconds: Int = Field(ge=1, le=3_600, description="How far ahead.")
    p50: Amount = Field(description="As likely exceeded as not, in bytes per second.")
    p95: Amount = Field(description="Exceeded one time in twenty, in bytes per second.")


class NodeForecast(Model):
    """Demand of the node now and later."""

    seq: Tally = Field(description="Number of this forecast; grows while the agent lives.")
    observed_at: Time = Field(description="When the newest sample in it was taken.")
    demand_bytes_per_second: Amount = Field(
        description="Traffic now, as a mean: of the last `reportSeconds`, but of a minute at most."
    )
    points: tuple[ForecastPoint, ...] = Field((), max_length=4, description="Traffic later, nearest first.")


Permille = Annotated[Int, Field(ge=0, le=1_000)]


class PoolShares(Model):
    """Who has the pool: an entry a class by its number, 0 for traffic that matches none; thousandths of the pool."""

    granted: tuple[Permille, ...] = Field((), max_length=CLASSES, description="What each class may take.")
    lent: tuple[Permille, ...] = Field((), max_length=CLASSES, description="Of that, what it has on loan.")
    recalled: tuple[Permille, ...] = Field(
        (), max_length=CLASSES, description="Of its loans, what was taken back in the last ten seconds."
    )


class BufferState(Model):
    """Memory of the node's buffers."""

    pool_bytes: Amount = Field(description="Size of the pool now.")
    granted_bytes: Amount = Field(description="Sum of all classes' limits.")
    held_bytes: Amount = Field(description="Bytes waiting in the queues.")
    dropped_packets: Amount = Field(0, description="Packets dropped since the agent's programs were loaded.")
    pool_permille: PoolShares | None = Field(None, description="Who has the pool, in thousandths of it.")


class Scores(Model):
    """How good the forecasts have been lately."""

    hits: Tally = Field(0, description="Bursts that came as foretold.")
    misses: Tally = Field(0, description="Bursts that nobody foretold.")
    false_alarms: Tally = Field(0, description="Alarms that no burst followed.")
    precision_percent: Percent = Field(0, description="Share of alarms that were right.")
    lead_time_millis: Tally = Field(0, description="Median time between alarm and burst.")
    brier_permille: Int = Field(0, ge=0, le=1_000, description="Brier score of the burst probability, in thousandths.")
    trusted: Flag = Field(False, description="Whether the agent acts on its forecasts.")


class BufferNodeStatus(Model):
    """The agent's report; written on change and as a heartbeat."""

    observed_generation: Tally = Field(0, description="Generation of the spec that the agent has seen.")
    config_digest: Digest | None = Field(None, description="Configuration that the agent runs.")
    state: Literal["Starting", "Active", "Draining", "Detached"] = Field("Starting", description="What the node does.")
    versions: Versions = Field(Versions(), description="What runs on the node.")
    data_plane: DataPlaneStatus | None = Field(None, description="How the node enforces.")
    forecast: NodeForecast | None = Field(None, description="Demand now and later.")
    buffer: BufferState | None = Field(None, description="Memory of the buffers.")
    scores: Scores = Field(Scores(), description="How good the forecasts have been.")
    conditions: tuple[NodeCondition, ...] = Field(
        (), max_length=3, description="What is true of the node now: Ready, ModelReady, and what stands in its way."
    )


class BufferNode(Resource):
    """One buffer node; named after its Node and owned by it."""

    KIND: ClassVar[Kind] = Kind(
        name="BufferNode",
        plural="buffernodes",
        short_name="bufn",
        scope="Cluster",
        columns=(
            Column("Cluster", ".spec.clusterRef.name", description="The BufferCluster it belongs to."),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status', description="Whether its agent works."),
            Column("State", ".status.state", description="What the node does."),
            Column("Tier", ".status.dataPlane.tier", description="How it enforces."),
            Column("Why", ".status.dataPlane.reason", description="Why this tier."),
            Column("Trusted", ".status.scores.trusted", description="Whether it acts on its forecasts."),
            Column("Demand", ".status.forecast.demandBytesPerSecond", "integer", 1, "Bytes per second now."),
            Column("Granted", ".status.buffer.grantedBytes", "integer", 1, "Bytes of buffer granted."),
            Column("Agent", ".status.versions.agent", "string", 1, "Version of the agent."),
            Column("Age", ".metadata.creationTimestamp", "date", description="Time since it was made."),
        ),
    )

    kind: Literal["BufferNode"] = "BufferNode"
    spec: BufferNodeSpec = Field(description="What the operator orders.")
    status: BufferNodeStatus | None = Field(None, description="What the agent reports.")
