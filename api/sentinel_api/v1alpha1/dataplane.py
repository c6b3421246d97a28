"""The data plane's part of the spec: which devices queue, how fast they drain, how much they may hold."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sentinel_api.v1alpha1.model import Flag, Int, Model, cel

# 15 characters and no slash, colon or space is what Linux takes; empty stands for the device of the default route.
InterfaceName = Annotated[str, StringConstraints(pattern=r"^[^/:\s]*$", max_length=15)]


class Interface(Model):
    """One device and direction whose traffic is buffered."""

    name: InterfaceName = Field("", description="Device name; empty means the device with the default route.")
    direction: Literal["Ingress", "Egress"] = Field("Ingress", description="Whether arriving or leaving packets queue.")
    rate_bits_per_second: Int | None = Field(
        None,
        ge=1_000_000,
        le=1_000_000_000_000,
        description="Rate at which the queue drains. Without one nothing ever queues, so the node only observes.",
    )


class DataPlane(Model):
    """What happens to packets on every buffer node."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.interfaces.all(i, self.interfaces.exists_one(j, j.name == i.name && j.direction == i.direction))",
                "each name and direction may appear once in interfaces",
            ),
            (
                "self.mode != 'Enforce' || (size(self.interfaces) > 0 && "
                "self.interfaces.all(i, has(i.rateBitsPerSecond)))",
                "mode Enforce needs interfaces, each with a rateBitsPerSecond: without one nothing ever queues",
            ),
        )
    )

    mode: Literal["Auto", "Enforce", "Observe"] = Field(
        "Auto",
        description="Auto queues where a node can and says why where it cannot; Enforce calls a node that cannot "
        "Degraded; Observe counts and forecasts but changes nothing.",
    )
    interfaces: tuple[Interface, ...] = Field(
        (), max_length=8, description="Devices to buffer; none means arriving packets on the default route's device."
    )
    on_agent_exit: Literal["Keep", "Detach"] = Field(
        "Keep",
        description="What an agent does when it is told to stop: Keep leaves programs and queues for its successor, so "
        "that an upgrade loses no packet; Detach takes everything away.",
    )
    max_flows: Int = Field(
        262_144,
        ge=1_024,
        le=1_048_576,
        description="Flows tracked per node, divided between its interfaces; a million take about 300 MB.",
    )
    ecn: Flag = Field(True, description="Whether packets of ECN-capable flows are marked before any is dropped.")


class Pool(Model):
    """Memory of one node, shared by all classes of all its interfaces."""

    model_config = ConfigDict(
        json_schema_extra=cel(("self.minBytes <= self.maxBytes", "minBytes must not exceed maxBytes"))
    )

    min_bytes: Int = Field(524_288, ge=65_536, le=1 << 32, description="Size in calm times.")
    max_bytes: Int = Field(10_485_760, ge=65_536, le=1 << 32, description="Size never exceeded, whatever is forecast.")
