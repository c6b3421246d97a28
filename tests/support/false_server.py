"""An API server that answers as a test tells it, and the operator's own client speaking to it over a real socket."""

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web
from kubernetes.aio import client

from sentinel_operator import cluster


@contextlib.asynccontextmanager
async def reached(server) -> AsyncIterator[cluster.Cluster]:
    """`server.handle` answers every request."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    async with client.ApiClient(settings) as api:
        yield cluster.Cluster(await cluster._reached(api, patient=False), lambda _: None)
    await runner.cleanup()
