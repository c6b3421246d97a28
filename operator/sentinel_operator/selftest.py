"""`helm test` runs this in the operator's image: does the API server know our kinds, and does a replica lead?"""

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import click

from sentinel_api.errors import SentinelError, Transient
from sentinel_api.names import API_VERSION
from sentinel_operator.cluster import Cluster, connected
from sentinel_operator.election import LEASE_NAME, LEASE_S
from sentinel_operator.objects import Key, Manifest

TRIES, BETWEEN_S = 30, 2.0  # a fresh install takes some seconds until somebody leads


def leader(lease: Manifest | None, now: datetime) -> str:
    """Who leads; raises Transient with a sentence when nobody does."""
    spec = (lease or {}).get("spec", {})
    holder, renewed = spec.get("holderIdentity", ""), spec.get("renewTime")
    if not holder or not renewed:
        raise Transient(f"no replica leads: look at the pods of the Deployment {LEASE_NAME}")
    age_s = (now - datetime.fromisoformat(renewed)).total_seconds()
    if age_s > 2 * LEASE_S:
        raise Transient(f"{holder} led until {age_s:.0f} s ago: look at the pods of the Deployment {LEASE_NAME}")
    return str(holder)


async def found(api: Cluster, namespace: str) -> str:
    """One sentence that all is well."""
    clusters = await api.list(API_VERSION, "BufferCluster")
    nodes = await api.list(API_VERSION, "BufferNode")
    lease = await api.get(Key("coordination.k8s.io/v1", "Lease", namespace, LEASE_NAME))
    holder = leader(lease, datetime.now(UTC))
    return f"{holder} leads; {len(clusters)} BufferClusters and {len(nodes)} BufferNodes are known"


async def tested(namespace: str) -> str:
    async with connected() as api:
        for _ in range(TRIES - 1):
            try:
                return await found(api, namespace)
            except Transient:
                await asyncio.sleep(BETWEEN_S)
        return await found(api, namespace)


def main(env: Mapping[str, str] = os.environ) -> int:
    try:
        click.echo(asyncio.run(tested(env.get("SENTINEL_NAMESPACE", "sentinel-system"))))
    except SentinelError as error:
        click.echo(f"sentinel: {error}", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
