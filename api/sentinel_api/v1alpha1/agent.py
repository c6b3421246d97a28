"""The node agents' part of the spec: how they run, and how a new version reaches them."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sentinel_api.v1alpha1.model import Flag, Int, Model, cel

LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=317
    ),
]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
# Not checked by key: a CRD can bound the values of a map and their number only.
NodeSelector = Annotated[dict[str, LabelValue], Field(max_length=16)]
Image = Annotated[str, StringConstraints(pattern=r"^[^\s]*$", max_length=512)]


class Toleration(Model):
    """A taint that our pods put up with, as in a pod's spec."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.operator != 'Exists' || !has(self.value)", "operator Exists takes no value"),
            ("has(self.key) || self.operator == 'Exists'", "a toleration without key needs operator Exists"),
        )
    )

    key: LabelKey | None = Field(None, description="Key of the taint; left out with Exists it means every taint.")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="Whether the value must match too.")
    value: LabelValue | None = Field(None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; left out it means every effect."
    )


class Resources(Model):
    """Guaranteed and at the same time highest use of an agent; kernel maps count as its memory."""

    cpu_millis: Int = Field(200, ge=50, le=64_000, description="Thousandths of a core.")
    memory_bytes: Int = Field(536_870_912, ge=134_217_728, le=1 << 36, description="Memory, with the flow table in it.")


class UpdateStrategy(Model):
    """How a new agent version or configuration goes out."""

    canary_nodes: Int = Field(1, ge=0, le=100, description="Nodes that change first, and alone.")
    soak_seconds: Int = Field(120, ge=0, le=86_400, description="How long the first ones must do well before the rest.")
    max_unavailable_percent: Int = Field(10, ge=1, le=100, description="Most nodes that change at once.")
    roll_back: Flag = Field(True, description="Whether to go back by itself when drops or forecasts get worse.")


class Agent(Model):
    """The node agents, one on every buffer node."""

    image: Image = Field("", description="Image of the agent; empty means the one of the operator's own release.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When nodes fetch the image."
    )
    node_selector: NodeSelector = Field({}, description="Further labels a node must carry to become a buffer node.")
    tolerations: tuple[Toleration, ...] = Field((), max_length=16, description="Taints the agents put up with.")
    resources: Resources = Field(Resources(), description="CPU and memory of an agent.")
    priority_class_name: Annotated[str, StringConstraints(max_length=253)] = Field(
        "system-node-critical", description="Priority class of the agents' pods."
    )
    log_level: Literal["Debug", "Info", "Warning", "Error"] = Field("Info", description="How much the agents log.")
    metrics_port: Int = Field(9465, ge=1_024, le=65_535, description="Port on each node for Prometheus.")
    update_strategy: UpdateStrategy = Field(UpdateStrategy(), description="How changes go out.")
