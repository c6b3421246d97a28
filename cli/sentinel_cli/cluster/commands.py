"""`sentinel status|explain|drain|pause|report`, which kubectl runs as `kubectl sentinel …`."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from sentinel_api.errors import Invalid
from sentinel_api.names import API_VERSION
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_cli.cluster import bundle, words
from sentinel_cli.cluster import explain as why
from sentinel_cli.cluster.redact import Redactor
from sentinel_cli.top import whatif
from sentinel_operator.cluster import Cluster, connected
from sentinel_operator.objects import DRAIN_ASKED, Key

NAMESPACE = click.option("-n", "--namespace", default="default", show_default=True, help="Of the BufferCluster.")


@click.command()
@click.argument("name", required=False)
@click.option("-n", "--namespace", default="", help="Only BufferClusters of this namespace.")
def status(name: str | None, namespace: str) -> None:
    """Say what BufferClusters are doing, and why.

    \b
    Examples:
      kubectl sentinel status
      kubectl sentinel status front -n shop
    """

    async def say(api: Cluster) -> None:
        stored = await api.list(API_VERSION, "BufferCluster", namespace)
        clusters = [BufferCluster.parse(each) for each in stored if name in (None, each["metadata"]["name"])]
        if not clusters:
            raise Invalid(f"there is no BufferCluster{f' {name}' if name else ''} here: kubectl get bufc -A lists them")
        nodes = [BufferNode.parse(each) for each in await api.list(API_VERSION, "BufferNode")]
        for cluster in clusters:
            ours = (cluster.metadata.namespace, cluster.metadata.name)
            own = [n for n in nodes if (n.spec.cluster_ref.namespace, n.spec.cluster_ref.name) == ours]
            click.echo("\n".join(words.told(cluster, own, datetime.now(UTC))))

    _with_cluster(say)


@click.command()
@click.argument("what", metavar="buffercluster/NAME|node/NAME")
@NAMESPACE
def explain(what: str, namespace: str) -> None:
    """Say why something is as it is, and what would change it.

    \b
    Examples:
      kubectl sentinel explain buffercluster/front -n shop
      kubectl sentinel explain node/node7
    """
    kind, _, name = what.partition("/")
    if kind not in EXPLAINED or not name:
        raise Invalid(f"{what!r} cannot be explained: name a buffercluster/NAME or a node/NAME")

    async def say(api: Cluster) -> None:
        click.echo(why.told(await EXPLAINED[kind](api, namespace, name)))

    _with_cluster(say)


async def _explained_cluster(api: Cluster, namespace: str, name: str) -> tuple[why.Finding, ...]:
    found = await api.get(Key(API_VERSION, "BufferCluster", namespace, name))
    if found is None:
        raise Invalid(f"there is no BufferCluster {namespace}/{name}: kubectl get bufc -A lists them")
    return why.of_cluster(BufferCluster.parse(found), datetime.now(UTC))


async def _explained_node(api: Cluster, _: str, name: str) -> tuple[why.Finding, ...]:
    found = await api.get(Key(API_VERSION, "BufferNode", "", name))
    if found is None:
        raise Invalid(f"{name} is no buffer node: kubectl get bufn lists them")
    return why.of_node(BufferNode.parse(found), datetime.now(UTC))


EXPLAINED = {"buffercluster": _explained_cluster, "node": _explained_node}


@click.command()
@click.argument("node")
@click.option("--undo", is_flag=True, help="Let it take new flows again.")
def drain(node: str, undo: bool) -> None:
    """Stop giving new flows to a buffer node; those that it has go on until they end.

    \b
    Examples:
      kubectl sentinel drain node7
      kubectl sentinel drain node7 --undo
    """

    async def ask(api: Cluster) -> None:
        if await api.get(Key(API_VERSION, "BufferNode", "", node)) is None:
            raise Invalid(f"{node} is no buffer node: kubectl get bufn lists them")
        asked = None if undo else "true"
        await api.merge(Key("v1", "Node", "", node), {"metadata": {"annotations": {DRAIN_ASKED: asked}}})
        click.echo(f"{node} {'serves again' if undo else 'drains'}; watch it with kubectl get bufn {node} -w")

    _with_cluster(ask)


@click.command()
@click.argument("name")
@NAMESPACE
@click.option("--resume", is_flag=True, help="Let the operator work again.")
def pause(name: str, namespace: str, resume: bool) -> None:
    """Make the operator leave a BufferCluster as it is; traffic goes on.

    \b
    Examples:
      kubectl sentinel pause front
      kubectl sentinel pause front --resume
    """

    async def ask(api: Cluster) -> None:
        at = Key(API_VERSION, "BufferCluster", namespace, name)
        if await api.get(at) is None:
            raise Invalid(f"there is no BufferCluster {namespace}/{name}: kubectl get bufc -A lists them")
        await api.merge(at, {"spec": {"paused": not resume}})
        click.echo(f"{namespace}/{name} is {'looked after again' if resume else 'paused'}")

    _with_cluster(ask)


@click.command()
@click.argument("nodes", nargs=-1, metavar="[HOST[:PORT]]...")
@click.option(
    "--what-if", is_flag=True, help="Tell what agents that only observe would have done, and with what effect."
)
@click.option("--json", "as_json", is_flag=True, help="With --what-if: for a program.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("sentinel-report.tar.gz"),
    show_default=True, help="Where the archive goes.",
)  # fmt: skip
def report(nodes: Sequence[str], what_if: bool, as_json: bool, output: Path) -> None:
    """Pack what helps to find a fault, or tell what an observe-only install would have done.

    The archive holds objects, events, logs, metrics and what the doctor says. Secrets are never read; passwords, tokens
    and addresses are replaced. Read it before you hand it on.

    With --what-if it asks agents (port 9465; this machine's if none is named) what queues under their orders would have
    held and dropped since they started. Those are estimates, and it says of what kind.

    \b
    Examples:
      kubectl sentinel report -o report.tar.gz
      sentinel report --what-if node1 node2
      sentinel report --what-if --json
    """
    if what_if:
        whatif.report(nodes, as_json)
        return
    if nodes or as_json:
        raise Invalid("hosts and --json go with --what-if; the archive is of the whole cluster")

    async def pack(api: Cluster) -> None:
        packed = await bundle.archive(api, Redactor(secrets.token_bytes(16)), datetime.now(UTC))
        output.write_bytes(packed)
        click.echo(f"{output} holds {len(packed) // 1024 + 1} KiB: look through it before you hand it on")

    _with_cluster(pack)


def _with_cluster(work: Callable[[Cluster], Awaitable[None]]) -> None:
    async def run() -> None:
        async with connected() as api:
            await work(api)

    asyncio.run(run())
