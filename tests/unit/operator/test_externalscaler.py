"""KEDA's protocol, spoken by a real gRPC client to the real server over a real socket."""

import asyncio
import socket
from datetime import timedelta

import grpc
import pytest

from sentinel_api.errors import Invalid
from sentinel_operator.externalscaler import MESSAGES, METRIC, SERVICE, served
from support.worlds import NOW, cluster

ASK = {"cluster": "front", "bytesPerSecondPerReplica": "1000"}


def forecasting(demand, seconds_ago=1):
    observed = (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return cluster(status={"scaling": {"demandP95BytesPerSecond": demand, "observedAt": observed}})


def ask(method, request, response, *, found=None):
    """One call; `found` is the BufferCluster that there is."""

    async def story():
        async def find(name):
            return found if name == ("default", "front") else None

        server, port = await served(0, find, lambda: NOW)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                call = channel.unary_unary(
                    f"/{SERVICE}/{method}",
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=MESSAGES[response].FromString,
                )
                return await call(request, timeout=30)
        finally:
            await server.stop(None)

    return asyncio.run(story())


def ref(**metadata):
    return MESSAGES["ScaledObjectRef"](name="shop", namespace="default", scalerMetadata=metadata)


def test_messages_are_on_the_wire_what_kedas_own_are():
    sent = MESSAGES["ScaledObjectRef"](name="a", namespace="b", scalerMetadata={"k": "v"})
    assert sent.SerializeToString() == b"\x0a\x01a\x12\x01b\x1a\x06\x0a\x01k\x12\x01v"
    value = MESSAGES["MetricValue"](metricName="m", metricValue=300, metricValueFloat=0.5)
    assert value.SerializeToString() == b"\x0a\x01m\x10\xac\x02\x19\x00\x00\x00\x00\x00\x00\xe0\x3f"
    inner = MESSAGES["GetMetricsRequest"](scaledObjectRef=MESSAGES["ScaledObjectRef"](name="a"), metricName="m")
    assert inner.SerializeToString() == b"\x0a\x03\x0a\x01a\x12\x01m"


def test_the_metric_is_the_demand_that_is_coming():
    request = MESSAGES["GetMetricsRequest"](scaledObjectRef=ref(**ASK), metricName=METRIC)
    (value,) = ask("GetMetrics", request, "GetMetricsResponse", found=forecasting(12_345)).metricValues
    assert (value.metricName, value.metricValue, value.metricValueFloat) == (METRIC, 12_345, 12_345.0)


def test_one_replica_is_asked_for_so_much_of_it():
    (spec,) = ask("GetMetricSpec", ref(**ASK), "GetMetricSpecResponse", found=forecasting(1)).metricSpecs
    assert (spec.metricName, spec.targetSize) == (METRIC, 1000)


@pytest.mark.parametrize(("demand", "active"), [(0, False), (1, True)])
def test_a_backend_sleeps_only_while_nothing_is_coming(demand, active):
    assert ask("IsActive", ref(**ASK), "IsActiveResponse", found=forecasting(demand)).result is active


@pytest.mark.parametrize(
    ("metadata", "found", "code", "said"),
    [
        ({}, None, "INVALID_ARGUMENT", "metadata.cluster is missing"),
        ({**ASK, "bytesPerSecondPerReplica": "0"}, None, "INVALID_ARGUMENT", "bytesPerSecondPerReplica"),
        ({**ASK, "cluster": "other/gone"}, None, "INVALID_ARGUMENT", "no BufferCluster other/gone"),
        (ASK, cluster(), "INVALID_ARGUMENT", "forecasts nothing yet"),
        (ASK, forecasting(5, seconds_ago=600), "UNAVAILABLE", "600 s old"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_sentence(metadata, found, code, said):
    request = MESSAGES["GetMetricsRequest"](scaledObjectRef=ref(**metadata), metricName=METRIC)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        ask("GetMetrics", request, "GetMetricsResponse", found=found)
    assert refused.value.code().name == code
    assert said in refused.value.details()


def test_a_port_that_is_taken_is_named_with_the_way_out():
    async def none(_name):
        return None

    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Invalid, match=f"cannot listen on port {port}: free it, or set SENTINEL_SCALER_PORT"):
            asyncio.run(served(port, none))


def test_a_stream_begins_with_what_is_so():
    async def story():
        async def find(_name):
            return forecasting(7)

        server, port = await served(0, find, lambda: NOW)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stream = channel.unary_stream(
                f"/{SERVICE}/StreamIsActive",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=MESSAGES["IsActiveResponse"].FromString,
            )(ref(**ASK), timeout=30)
            first = await stream.read()
            stream.cancel()
        await server.stop(None)
        return first.result

    assert asyncio.run(story()) is True
