"""The scaling part of the spec: when nodes are added and taken away, and who does it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sentinel_api.v1alpha1.agent import NodeSelector
from sentinel_api.v1alpha1.model import Int, Model, Percent, cel

MAX_NODES = 5_000


class ScaleTarget(Model):
    """An object with a `/scale` subresource, such as a MachineDeployment or a node pool."""

    api_version: Annotated[
        str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9][a-z0-9]*$", max_length=253)
    ] = Field(description="API version of the object, as cluster.x-k8s.io/v1beta1.")
    kind: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)] = Field(
        description="Kind of the object."
    )
    name: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(description="Name of the object.")
    namespace: Annotated[str, StringConstraints(max_length=63)] = Field(
        "", description="Namespace of the object; empty means the one of this BufferCluster."
    )


class Driver(Model):
    """Who adds the nodes; a DaemonSet alone never does."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.type != 'ScaleSubresource' || has(self.target)",
                "driver ScaleSubresource needs target: the object whose /scale is written",
            ),
            (
                "self.type == 'ScaleSubresource' || !has(self.target)",
                "target is used by driver ScaleSubresource only: set type to it or leave target out",
            ),
        )
    )

    type: Literal["NodeLabel", "ScaleSubresource", "CapacityBuffer"] = Field(
        "NodeLabel",
        description="NodeLabel turns spare nodes into buffer nodes; ScaleSubresource writes the /scale of an object; "
        "CapacityBuffer asks the cluster autoscaler to keep room.",
    )
    spare_node_selector: NodeSelector = Field(
        {}, description="Labels of nodes that NodeLabel may take; none means any node without a role."
    )
    target: ScaleTarget | None = Field(None, description="What ScaleSubresource scales.")


class ScaleUp(Model):
    """How fast the cluster may grow."""

    max_step_nodes: Int = Field(10, ge=1, le=MAX_NODES, description="Most nodes added by one decision.")


class ScaleDown(Model):
    """How slowly the cluster shrinks."""

    stabilisation_seconds: Int = Field(
        60, ge=0, le=86_400, description="How long fewer nodes must have sufficed before one is given back."
    )
    max_step_nodes: Int = Field(4, ge=1, le=MAX_NODES, description="Most nodes taken away by one decision.")


class Coverage(Model):
    """How many nodes must have reported before the numbers are believed."""

    min_percent: Percent = Field(80, description="Below this share of fresh reports the cluster only grows.")


class Scaling(Model):
    """How the number of nodes follows the forecasts."""

    model_config = ConfigDict(
        json_schema_extra=cel(("self.min <= self.max", "scaling.min must not exceed scaling.max"))
    )

    mode: Literal["Off", "Recommend", "ScaleOutOnly", "Auto"] = Field(
        "Recommend",
        description="Off computes nothing; Recommend shows what it would do; ScaleOutOnly adds nodes; Auto also gives "
        "them back, and then spec.nodes is the operator's.",
    )
    driver: Driver = Field(Driver(), description="Who adds the nodes.")
    min: Int = Field(3, ge=1, le=MAX_NODES, description="Fewest nodes.")
    max: Int = Field(100, ge=1, le=MAX_NODES, description="Most nodes.")
    interval_seconds: Int = Field(10, ge=1, le=3_600, description="Time between two decisions.")
    node_capacity_bytes_per_second: Int = Field(
        1_000_000_000, ge=125_000, le=125_000_000_000, description="Traffic that one node carries at most."
    )
    headroom_percent: Int = Field(
        20,
        ge=0,
        le=300,
        description="Capacity kept free beyond present demand, beyond the expected one and beyond where steady growth "
        "leads; where half of the way to the forecast's 95th percentile, at most 20 %, asks for more, that counts.",
    )
    lead_time_seconds: Int | None = Field(
        None, ge=1, le=3_600, description="Time until a new node carries traffic; left out it is measured."
    )
    tolerance_percent: Percent = Field(8, description="Change in the number of nodes that is too small to act on.")
    scale_up: ScaleUp = Field(ScaleUp(), description="How fast the cluster may grow.")
    scale_down: ScaleDown = Field(ScaleDown(), description="How slowly it shrinks.")
    coverage: Coverage = Field(Coverage(), description="How many nodes must have reported.")
    fallback: Literal["Hold", "Reactive"] = Field(
        "Reactive",
        description="What is done while forecasts are not trusted: Hold the number, or follow present demand.",
    )
