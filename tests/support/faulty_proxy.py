"""A way to the API server that can fail as networks and overloaded servers do, and counts what is asked."""

import asyncio
import contextlib
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web

Fault = Literal["", "cut", "refuse", "busy", "break", "slow", "hang", "deaf", "drop"]
"""cut: done, but nobody hears of it; refuse: it never arrives; busy: 429; break: 500; slow: seconds late; hang: it is
never answered; deaf: a watch without events; drop: a watch that breaks after each event."""

WRITES = ("POST", "PUT", "PATCH", "DELETE")
SLOW_S = 5.0
HOP_BY_HOP = ("Connection", "Host", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Content-Encoding")


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    watch: bool

    @property
    def writes(self) -> bool:
        return self.method in WRITES

    @property
    def election(self) -> bool:
        return "/leases" in self.path


@dataclass
class Proxy:
    """`choose` names the fault of each request; it may be replaced at any time, from any thread."""

    server: str
    ca: str
    choose: Callable[[Asked], Fault] = lambda _: ""
    lost: Callable[[Asked], None] = lambda _: None  # called between the deed and the cut
    seen: Counter = field(default_factory=Counter)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(request.method, request.path, "watch" in request.query)
        self.seen["writes" if asked.writes else "watches" if asked.watch else "reads"] += 0 if asked.election else 1
        fault = self.choose(asked)
        self.seen[fault] += 1
        match fault:
            case "refuse":
                return self._gone(request)
            case "busy":
                body = {"kind": "Status", "status": "Failure", "code": 429, "reason": "TooManyRequests"}
                return web.json_response(body, status=429, headers={"Retry-After": "1"})
            case "break":
                return web.json_response({"kind": "Status", "code": 500, "message": "broken"}, status=500)
            case "slow":
                await asyncio.sleep(SLOW_S)
            case "hang":
                while request.transport is not None and not request.transport.is_closing():
                    await asyncio.sleep(0.1)
                return web.Response()
        return await self._forwarded(request, fault)

    async def _forwarded(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.title() not in HOP_BY_HOP}
        url = f"{self.server}{request.raw_path}"
        session: aiohttp.ClientSession = request.app[SESSION]
        body = await request.read() or None
        bare = {"Content-Type"}  # an octet stream, which the library would name, is no media type of the API
        async with session.request(request.method, url, headers=headers, data=body, skip_auto_headers=bare) as answer:
            if fault == "cut":
                await answer.read()
                self.lost(Asked(request.method, request.path, watch=False))
                return self._gone(request)
            kept = {k: v for k, v in answer.headers.items() if k.title() not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                if fault != "deaf":
                    await response.write(chunk)
                if fault == "drop":
                    return self._gone(request)
            await response.write_eof()
            return response

    def _gone(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


SESSION = web.AppKey("session", aiohttp.ClientSession)
LAST_TURNS_S = 0.05  # a connection that was cancelled while it came up is closed in later turns of the loop


async def _serve(proxy: Proxy, ready: threading.Event, stop: asyncio.Event) -> None:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{rest:.*}", proxy.handle)
    trusted = ssl.create_default_context(cafile=proxy.ca)
    connector = aiohttp.TCPConnector(ssl=trusted, limit=0)
    unbounded = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=unbounded, auto_decompress=True) as session:
        app[SESSION] = session
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # watches whose clients were killed
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(LAST_TURNS_S)


@contextlib.contextmanager
def between(server: str, ca: str) -> Iterator[Proxy]:
    """In a thread of its own; plain HTTP on this side, which the clients take with a bearer token too."""
    proxy, ready = Proxy(server, ca), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_serve(proxy, ready, stop)), daemon=True)
    thread.start()
    assert ready.wait(240), "the proxy did not start"
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(240)
        loop.close()
