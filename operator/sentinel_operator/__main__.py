"""The composition root: builds the ports, waits for the Lease, runs kopf and the worker side by side."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click
import kopf
import structlog
from kubernetes.aio.client import ApiClient
from prometheus_client import start_http_server

from sentinel_api.errors import Invalid, SentinelError
from sentinel_api.names import API_VERSION
from sentinel_api.repeats import Repeats
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_operator import cluster, election, handlers
from sentinel_operator.authority import Authority
from sentinel_operator.cluster import Cluster
from sentinel_operator.due import ClusterName, Due
from sentinel_operator.mirror import Mirror
from sentinel_operator.objects import Key
from sentinel_operator.settings import Settings, settings
from sentinel_operator.signer import Signer
from sentinel_operator.watches import Watches
from sentinel_operator.worker import Worker

if TYPE_CHECKING:
    from sentinel_operator.mesh import Ear


@click.command()
def main() -> None:
    """Turn BufferClusters into running buffer nodes. The chart starts it; elsewhere KUBECONFIG names the cluster.

    \b
    Read from the environment, once, at start:
      SENTINEL_AGENT_IMAGE    image of the agents, for BufferClusters that name none (needed)
      SENTINEL_NAMESPACE      where the Lease is kept                  (sentinel-system)
      SENTINEL_POD_NAME       who this replica is in the Lease         (the host's name)
      SENTINEL_BPFFS          where nodes have their bpffs mounted     (/sys/fs/bpf)
      SENTINEL_MESH_PORT      where agents and balancers meet; 0 is off   (0)
      SENTINEL_MESH_AUTHORITY folder with the mesh's tls.crt and tls.key; unset, it is in the clear
      SENTINEL_MESH_ZONES     true: members meet at routers of their zone, which the operator runs   (false)
      SENTINEL_METRICS_PORT   for Prometheus                           (8080)
      SENTINEL_SCALER_PORT    for KEDA's external scaler; 0 is off        (0)
      SENTINEL_HEALTH_PORT    for the liveness probe                   (8081)
      SENTINEL_LOG_FORMAT     json or text                             (json)
    """
    try:
        chosen = settings()
        _logs(chosen)
        serve_metrics(chosen.metrics_port)
        code = asyncio.run(operate(chosen))
    except SentinelError as error:
        click.echo(f"sentinel-operator: {error}", err=True)
        code = 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 0
    sys.exit(code)


def serve_metrics(port: int) -> None:
    try:
        start_http_server(port)
    except OSError as error:
        raise Invalid(
            f"cannot listen on port {port} ({error.strerror}): free it, or set SENTINEL_METRICS_PORT to another"
        ) from error


async def operate(chosen: Settings) -> int:
    """Until it is told to end. As the first process of a container it would not hear that before kopf runs."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    mirror = Mirror()
    authority = Authority(chosen.mesh_authority) if chosen.mesh_authority and chosen.release.mesh_port else None
    ear = _ear(chosen, authority)
    async with cluster.connected(mirror.keep, patient=True) as api, ApiClient() as lease_client:

        async def work() -> None:
            due = Due()
            told = handlers.Told(mirror, due)
            worker = asyncio.create_task(Worker(api, chosen.release, due, mirror, ear, authority).run())
            watching = asyncio.create_task(
                _watch(handlers.registry(told, Signer(api, authority, mirror) if authority else None), mirror, chosen)
            )
            many = asyncio.create_task(Watches(api, told).run())
            await first_of(worker, watching, many)

        async with _scaler(chosen.scaler_port, api):
            try:
                return await election.lead(lease_client, chosen.namespace, chosen.identity, work)
            finally:
                if ear is not None:
                    ear.close()


async def first_of(*tasks: asyncio.Task[None]) -> None:
    """Ends as the first of them does, and none of them goes on after it, or when it is cancelled; raises Stuck where
    one does."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=election.STOP_S)
        if left:
            raise election.Stuck(f"{len(left)} of its parts did not stop within {election.STOP_S:g} s")


async def _watch(registry: kopf.OperatorRegistry, mirror: Mirror, chosen: Settings) -> None:
    """kopf looks once for the kinds that it watches, so they must be there before."""
    await mirror.known.wait()
    endpoint = f"http://0.0.0.0:{chosen.health_port}/healthz"
    await kopf.operator(registry=registry, standalone=True, clusterwide=True, liveness_endpoint=endpoint)


def _ear(chosen: Settings, authority: Authority | None) -> "Ear | None":
    """The mesh's engine takes memory, so it is loaded where there is a mesh."""
    if not chosen.release.mesh_port:
        return None
    from sentinel_operator.mesh import Ear  # noqa: PLC0415

    return Ear(chosen.release.mesh_port, authority, zoned=chosen.release.zoned)


@contextlib.asynccontextmanager
async def _scaler(port: int, api: Cluster) -> AsyncIterator[None]:
    """On every replica, leader or not: it answers from what the leader wrote."""
    if not port:
        yield
        return
    from sentinel_operator import externalscaler  # noqa: PLC0415  gRPC takes memory, so it is loaded where it answers

    async def find(name: ClusterName) -> BufferCluster | None:
        stored = await api.get(Key(API_VERSION, "BufferCluster", name.namespace, name.name))
        return None if stored is None else BufferCluster.parse(stored)

    server, _ = await externalscaler.served(port, find)
    try:
        yield
    finally:
        await server.stop(grace=1)


def _logs(chosen: Settings) -> None:
    render = structlog.processors.JSONRenderer() if chosen.json_logs else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            Repeats(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ]
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


if __name__ == "__main__":
    main()
