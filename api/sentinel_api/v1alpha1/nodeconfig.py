"""NodeConfig: what a node obeys; the operator puts it into a ConfigMap, a machine without Kubernetes into a file."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field

from sentinel_api.v1alpha1.buffercluster import BufferClusterSpec
from sentinel_api.v1alpha1.dataplane import DataPlane, Pool
from sentinel_api.v1alpha1.model import Int, Model, cel
from sentinel_api.v1alpha1.prediction import Prediction
from sentinel_api.v1alpha1.trafficclass import CLASS_RULES, MAX_CLASSES, Cidr, TrafficClass, class_ids

CONFIG_FILE = "config.json"  # the one key of the ConfigMap
_NAME_DIGITS = 12  # of the digest in the ConfigMap's name; the whole digest is checked when it is read


class NodeConfig(Model):
    """The parts of a BufferCluster that matter on a node, with the kernel ids settled."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            *CLASS_RULES,
            (
                "size(self.classIds) == 0 || self.trafficClasses.all(c, c.name in self.classIds)",
                "classIds must name every traffic class, or be left out",
            ),
        )
    )

    traffic_classes: tuple[TrafficClass, ...] = Field((), max_length=MAX_CLASSES, description="Traffic told apart.")
    class_ids: dict[str, Annotated[Int, Field(ge=1, le=MAX_CLASSES)]] = Field(
        {}, max_length=MAX_CLASSES, description="Kernel id of each class; left out they are counted from 1."
    )
    pool: Pool = Field(Pool(), description="Memory that the classes share.")
    data_plane: DataPlane = Field(DataPlane(), description="What happens to packets.")
    model: Prediction = Field(Prediction(), description="Where forecasts come from.")
    balancers: tuple[Cidr, ...] = Field(
        (), max_length=64, description="From where packets may come through the tunnel, and probes be answered."
    )

    @property
    def ids(self) -> Mapping[str, int]:
        return self.class_ids or class_ids((c.name for c in self.traffic_classes), {})

    @property
    def text(self) -> str:
        """The one canonical spelling, which is stored and whose digest is taken."""
        return json.dumps(self.wire(), sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """Names the content: equal configurations have equal digests, whoever computed them."""
        return digest_of(self.text)


def digest_of(text: str) -> str:
    """Of the text as it stands: a reader can check what a newer writer stored without understanding all of it."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def config_map_name(cluster: str, digest: str) -> str:
    """Named by its content: operator and agents find the same object without asking each other."""
    return f"{cluster}-config-{digest.removeprefix('sha256:')[:_NAME_DIGITS]}"


def node_config(spec: BufferClusterSpec, ids: Mapping[str, int]) -> NodeConfig:
    """What all nodes of a cluster obey; `ids` is `status.classIds`, so that names keep their ids."""
    return NodeConfig(
        traffic_classes=spec.traffic_classes,
        class_ids=class_ids((c.name for c in spec.traffic_classes), ids),
        pool=spec.pool,
        data_plane=spec.data_plane,
        model=spec.model,
    )
