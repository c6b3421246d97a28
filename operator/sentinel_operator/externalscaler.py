"""KEDA's external scaler: others scale by the same forecast, a lead time ahead of the burst that is coming to them.

The protocol is a handful of messages; they are declared here instead of generated, and are the same on the wire.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from sentinel_api.errors import Invalid, SentinelError, Transient
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_operator.due import ClusterName

PACKAGE, SERVICE = "externalscaler", "externalscaler.ExternalScaler"
METRIC = "sentinel-demand"
CLUSTER, PER_REPLICA = "cluster", "bytesPerSecondPerReplica"
SILENT_INTERVALS = 6  # a change of leaders fits in
STREAM_S = 10.0  # a decision's interval: sooner there is nothing new to say

Find = Callable[[ClusterName], Awaitable[BufferCluster | None]]
_Field = descriptor_pb2.FieldDescriptorProto
_STRING, _BOOL, _INT64, _DOUBLE = _Field.TYPE_STRING, _Field.TYPE_BOOL, _Field.TYPE_INT64, _Field.TYPE_DOUBLE


class _Of(NamedTuple):
    """A field that holds another message."""

    message: str
    repeated: bool = False


_MESSAGES: Mapping[str, tuple[tuple[str, int | _Of], ...]] = {
    "ScaledObjectRef": (
        ("name", _STRING),
        ("namespace", _STRING),
        ("scalerMetadata", _Of("ScaledObjectRef.ScalerMetadataEntry", repeated=True)),
    ),
    "IsActiveResponse": (("result", _BOOL),),
    "MetricSpec": (("metricName", _STRING), ("targetSize", _INT64), ("targetSizeFloat", _DOUBLE)),
    "GetMetricSpecResponse": (("metricSpecs", _Of("MetricSpec", repeated=True)),),
    "GetMetricsRequest": (("scaledObjectRef", _Of("ScaledObjectRef")), ("metricName", _STRING)),
    "MetricValue": (("metricName", _STRING), ("metricValue", _INT64), ("metricValueFloat", _DOUBLE)),
    "GetMetricsResponse": (("metricValues", _Of("MetricValue", repeated=True)),),
}


def _declared() -> dict[str, Any]:
    """Message classes by name; fields are numbered in the order above."""
    file = descriptor_pb2.FileDescriptorProto(name="externalscaler.proto", package=PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, start=1):
            _add(message, field, number, kind)
        if name == "ScaledObjectRef":
            entry = message.nested_type.add(name="ScalerMetadataEntry")
            _add(entry, "key", 1, _STRING)
            _add(entry, "value", 2, _STRING)
            entry.options.map_entry = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{PACKAGE}.{name}") for name in _MESSAGES}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


def _add(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: int | _Of) -> None:
    field = message.field.add(name=name, number=number, json_name=name, label=_Field.LABEL_OPTIONAL)
    if isinstance(kind, _Of):
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{kind.message}"
        field.label = _Field.LABEL_REPEATED if kind.repeated else _Field.LABEL_OPTIONAL
    else:
        field.type = kind


MESSAGES = _declared()


class Asked(NamedTuple):
    """What a ScaledObject wants to follow."""

    cluster: ClusterName
    bytes_per_replica: int


def asked(namespace: str, metadata: Mapping[str, str]) -> Asked:
    """Raises Invalid with the sentence that KEDA then shows on the ScaledObject."""
    place, _, name = metadata.get(CLUSTER, "").rpartition("/")
    if not name:
        raise Invalid(f"metadata.{CLUSTER} is missing: name a BufferCluster, as NAME or NAMESPACE/NAME")
    text = metadata.get(PER_REPLICA, "")
    if not text.isdecimal() or not int(text):
        raise Invalid(f"metadata.{PER_REPLICA} is {text!r}: give the bytes per second that one replica serves")
    return Asked(ClusterName(place or namespace, name), int(text))


class Scaler:
    """Answers from the status that the leader wrote, so every replica of the operator answers alike."""

    def __init__(self, find: Find, clock: Callable[[], datetime]) -> None:
        self._find, self._clock = find, clock

    async def demand(self, want: Asked) -> int:
        """Bytes per second that must be served a lead time from now, 95th percentile."""
        cluster = await self._find(want.cluster)
        if cluster is None:
            where = f"{want.cluster.namespace}/{want.cluster.name}"
            raise Invalid(f"there is no BufferCluster {where}: correct metadata.{CLUSTER} of the ScaledObject")
        status = cluster.status
        if status is None or status.scaling.observed_at is None:
            raise Invalid(f"BufferCluster {want.cluster.name} forecasts nothing yet: scaling.mode must not be Off")
        silent_s = (self._clock() - status.scaling.observed_at).total_seconds()
        if silent_s > SILENT_INTERVALS * max(cluster.spec.scaling.interval_seconds, 10):
            raise Transient(f"the forecast of BufferCluster {want.cluster.name} is {silent_s:.0f} s old: no leader?")
        return status.scaling.demand_p95_bytes_per_second

    async def is_active(self, ref: Any) -> bool:
        return await self.demand(_of(ref)) > 0


def _of(ref: Any) -> Asked:
    return asked(ref.namespace, dict(ref.scalerMetadata))


def handlers(scaler: Scaler) -> grpc.GenericRpcHandler:
    async def is_active(ref: Any, context: grpc.aio.ServicerContext) -> Any:
        return MESSAGES["IsActiveResponse"](result=await _answered(scaler.is_active(ref), context))

    async def stream_is_active(ref: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        while True:
            yield MESSAGES["IsActiveResponse"](result=await _answered(scaler.is_active(ref), context))
            await asyncio.sleep(STREAM_S)

    async def get_metric_spec(ref: Any, context: grpc.aio.ServicerContext) -> Any:
        async def target() -> int:
            return _of(ref).bytes_per_replica

        size = await _answered(target(), context)
        spec = MESSAGES["MetricSpec"](metricName=METRIC, targetSize=size, targetSizeFloat=float(size))
        return MESSAGES["GetMetricSpecResponse"](metricSpecs=[spec])

    async def get_metrics(request: Any, context: grpc.aio.ServicerContext) -> Any:
        async def demand() -> int:
            return await scaler.demand(_of(request.scaledObjectRef))

        amount = await _answered(demand(), context)
        value = MESSAGES["MetricValue"](metricName=METRIC, metricValue=amount, metricValueFloat=float(amount))
        return MESSAGES["GetMetricsResponse"](metricValues=[value])

    ref, answer = "ScaledObjectRef", grpc.unary_unary_rpc_method_handler
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "IsActive": _typed(answer, is_active, ref),
            "StreamIsActive": _typed(grpc.unary_stream_rpc_method_handler, stream_is_active, ref),
            "GetMetricSpec": _typed(answer, get_metric_spec, ref),
            "GetMetrics": _typed(answer, get_metrics, "GetMetricsRequest"),
        },
    )


def _typed(make: Callable[..., Any], behaviour: Any, request: str) -> Any:
    return make(
        behaviour,
        request_deserializer=MESSAGES[request].FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


async def _answered(answer: Awaitable[Any], context: grpc.aio.ServicerContext) -> Any:
    """An error reaches KEDA as a status with our sentence; it then falls back as its ScaledObject says."""
    try:
        return await answer
    except Invalid as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except SentinelError as error:
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))


def _now() -> datetime:
    return datetime.now(UTC)


async def served(port: int, find: Find, clock: Callable[[], datetime] = _now) -> tuple[grpc.aio.Server, int]:
    """The server, which the caller stops, and the port that it listens on (0 takes any that is free)."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(Scaler(find, clock)),))
    try:
        taken = server.add_insecure_port(f"0.0.0.0:{port}")
    except RuntimeError as error:
        raise Invalid(f"cannot listen on port {port}: free it, or set SENTINEL_SCALER_PORT to another") from error
    await server.start()
    return server, taken
