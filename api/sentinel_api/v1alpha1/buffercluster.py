"""BufferCluster: what the user asks for, and the rules that tie its parts together."""

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from sentinel_api.v1alpha1.agent import Agent
from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus
from sentinel_api.v1alpha1.dataplane import DataPlane, Pool
from sentinel_api.v1alpha1.kinds import Column, Kind, Resource, Scale
from sentinel_api.v1alpha1.loadbalancer import LoadBalancer
from sentinel_api.v1alpha1.model import Flag, Int, Model, cel
from sentinel_api.v1alpha1.prediction import Prediction
from sentinel_api.v1alpha1.scaling import MAX_NODES, Scaling
from sentinel_api.v1alpha1.trafficclass import CLASS_RULES, MAX_CLASSES, TrafficClass


class Reporting(Model):
    """How much the nodes may write to the API server."""

    max_writes_per_second: Int = Field(
        25, ge=1, le=1_000, description="Budget for all nodes together; more nodes report less often."
    )


class BufferClusterSpec(Model):
    """A tier of nodes that makes room before bursts arrive. Everything has a default."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            *CLASS_RULES,
            ("self.nodes <= self.scaling.max", "nodes must not exceed scaling.max"),
            (
                "!(self.scaling.mode in ['ScaleOutOnly', 'Auto']) || self.nodes >= self.scaling.min",
                "nodes must not be below scaling.min while scaling.mode is ScaleOutOnly or Auto",
            ),
            (
                "self.loadBalancer.encapsulation == oldSelf.loadBalancer.encapsulation",
                "loadBalancer.encapsulation cannot change: nodes and balancers would not understand each other on the "
                "way; make a new BufferCluster",
            ),
        )
    )

    paused: Flag = Field(False, description="Whether the operator leaves everything as it is; traffic goes on.")
    nodes: Int = Field(3, ge=0, le=MAX_NODES, description="Buffer nodes wanted; also set by kubectl scale.")
    failure_policy: Literal["FailOpen"] = Field(
        "FailOpen", description="What nodes do with packets when nobody tells them: let them pass."
    )
    deletion_policy: Literal["Detach", "Orphan"] = Field(
        "Detach",
        description="What deleting this does: Detach takes programs, queues and labels away first; Orphan leaves the "
        "nodes as they are.",
    )
    traffic_classes: tuple[TrafficClass, ...] = Field(
        (),
        max_length=MAX_CLASSES,
        description="Traffic told apart, in order; what matches none is treated as one more.",
    )
    pool: Pool = Field(Pool(), description="Memory per node and interface that the classes share.")
    data_plane: DataPlane = Field(DataPlane(), description="What happens to packets.")
    agent: Agent = Field(Agent(), description="The node agents.")
    model: Prediction = Field(Prediction(), description="Where forecasts come from.")
    load_balancer: LoadBalancer = Field(LoadBalancer(), description="The balancers in front of the nodes.")
    scaling: Scaling = Field(Scaling(), description="How the number of nodes follows the forecasts.")
    reporting: Reporting = Field(Reporting(), description="How much nodes write to the API server.")


class BufferCluster(Resource):
    """A predictive buffer tier: nodes that see bursts coming, make room for them, and give the room back."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
                "metadata.name must be at most 40 lower-case letters, digits and hyphens, begin with a letter and not "
                "end with a hyphen: other objects are named after it",
            ),
        )
    )

    KIND: ClassVar[Kind] = Kind(
        name="BufferCluster",
        plural="bufferclusters",
        short_name="bufc",
        scope="Namespaced",
        scale=Scale(".spec.nodes", ".status.nodes", ".status.selector"),
        columns=(
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status', description="Whether it does its work."),
            Column("Desired", ".spec.nodes", "integer", description="Nodes wanted."),
            Column("Nodes", ".status.nodes", "integer", description="Nodes there are."),
            Column("Working", ".status.readyNodes", "integer", description="Nodes whose agent works."),
            Column("Scaling", ".spec.scaling.mode", description="Who decides on the number of nodes."),
            Column("Required", ".status.scaling.requiredNodes", "integer", 1, "Nodes the forecast calls for."),
            Column("Coverage", ".status.coveragePercent", "integer", 1, "Percent of nodes with a fresh report."),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', "string", 1, "Why it is ready or not."),
            Column("Age", ".metadata.creationTimestamp", "date", description="Time since it was made."),
        ),
    )

    kind: Literal["BufferCluster"] = "BufferCluster"
    spec: BufferClusterSpec = Field(BufferClusterSpec(), description="What is asked for.")
    status: BufferClusterStatus | None = Field(None, description="What the operator answers.")
