"""The one door to the API server: reads, server-side apply, deletes; foreign exceptions end here."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp
import structlog
import yaml
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.discovery import LazyDiscoverer
from kubernetes.aio.dynamic.exceptions import DynamicApiError, ResourceNotFoundError
from kubernetes.aio.utils.retry import Backoff, on_error
from kubernetes.aio.watch import Watch
from prometheus_client import Counter

from sentinel_api.errors import Invalid, Transient
from sentinel_operator.due import LAST_TRANSIENT_RETRY_S, retry_after_s
from sentinel_operator.objects import FIELD_MANAGER, Key, Manifest, key

UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)
FAILED = (ApiException, DynamicApiError, *UNREACHABLE)
REQUEST_S = 10  # twice what a slow server takes; later an answer is of no use
LIST_S = 20  # of thousands of objects
STREAM_S = 300  # the API server ends watches anyway; an end of our own choosing is no error in the log
PAGE_OBJECTS = 500
# A look has a dozen requests, and one that is refused would spoil it: with every third refused it would never be done.
# What was refused for now is asked again some times here; the whole look comes later and later.
AGAIN = Backoff(steps=4, duration=0.25, factor=2.0, jitter=0.5)
ONCE_MORE = Backoff(steps=2, duration=0.25, factor=1.0, jitter=0.5)
NO_FILE = "/nonexistent/kinds"
_BOUNDED: Mapping[str, Any] = {"serialize": False, "_request_timeout": REQUEST_S}
_LISTED = {**_BOUNDED, "_request_timeout": LIST_S}
_WATCHED = {**_BOUNDED, "_request_timeout": STREAM_S + 30}
REQUESTS = Counter("sentinel_operator_requests", "Requests to the API server, without those for the Lease.", ["verb"])
REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}

log = structlog.get_logger()


class Conflict(Transient):
    """Somebody wrote in between; look again, then decide again."""


class Expired(Transient):
    """The server remembers no version as old as the one that a watch is to go on from: list, then watch again."""


class Cluster:
    """Typed thinly over the dynamic client: objects are plain mappings in and out.

    `told` hears the server's answer to each write, so that what is mirrored never lags behind what we did ourselves.
    """

    def __init__(self, dynamic: DynamicClient, told: Callable[[Manifest], object]) -> None:
        self._dynamic = dynamic
        self._told = told

    async def get(self, at: Key, subresource: str = "") -> Manifest | None:
        try:
            target = await self._target(at, subresource)
            found = await _read(lambda: target.get(name=at.name, namespace=at.namespace or None, **_BOUNDED))
            return await _plain(found)
        except FAILED as error:
            if _status(error) == HTTPStatus.NOT_FOUND:
                return None
            raise _translated(error, f"read {at}") from error

    async def list(self, api_version: str, kind: str, namespace: str = "", labels: str = "") -> tuple[Manifest, ...]:
        return tuple([item async for page, _ in self.pages(api_version, kind, namespace, labels) for item in page])

    async def pages(
        self, api_version: str, kind: str, namespace: str = "", labels: str = ""
    ) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        """All of a kind in parts, which bounds the memory it takes, each with the version that the whole list is of."""
        more: str | None = ""
        try:
            resource = await self._resource(api_version, kind)
            while more is not None:
                wanted = {"limit": PAGE_OBJECTS, "_continue": more or None}
                ask = partial(resource.get, namespace=namespace or None, label_selector=labels or None, **wanted)
                page = await _plain(await _read(partial(ask, **_LISTED)))
                items = [{"apiVersion": api_version, "kind": kind, **item} for item in page.get("items") or ()]
                yield items, int(page["metadata"].get("resourceVersion") or 0)
                more = page["metadata"].get("continue") or None
        except FAILED as error:
            raise _translated(error, f"list {kind}s") from error

    async def events(self, api_version: str, kind: str, since: int) -> AsyncIterator[tuple[str, Manifest]]:
        """What happens to a kind after that version, and bookmarks, until the server ends it."""
        watch = Watch()
        try:
            resource = await self._resource(api_version, kind)

            async def opened(**wanted: Any) -> Any:
                async with asyncio.timeout(LIST_S):  # `wait_for` of Python 3.11 may swallow that we are cancelled
                    return await _asked(partial(resource.get, **wanted, **_WATCHED))

            bookmarks = [("allowWatchBookmarks", "true")]
            wanted = {"resource_version": since, "timeout_seconds": STREAM_S, "query_params": bookmarks}
            async for event in watch.stream(opened, **wanted):
                if isinstance(event, str):
                    break  # a line that was cut off with its connection
                yield event["type"], event["object"]
        except FAILED as error:
            raise _translated(error, f"watch {kind}s") from error
        finally:
            await watch.close()

    async def apply(self, manifest: Manifest) -> None:
        at = key(manifest)
        try:
            resource = await self._resource(at.api_version, at.kind)
            apply = partial(
                self._dynamic.server_side_apply, resource, body=dict(manifest), namespace=at.namespace or None,
                field_manager=FIELD_MANAGER, force_conflicts=True, **_BOUNDED,
            )  # fmt: skip
            applied = await _asked(apply)
            self._told(await _plain(applied))
        except FAILED as error:
            raise _translated(error, f"apply {at}") from error

    async def create(self, manifest: Manifest) -> None:
        """For what is written once and never changed; already there is as good."""
        at = key(manifest)
        try:
            resource = await self._resource(at.api_version, at.kind)
            create = partial(resource.create, body=dict(manifest), namespace=at.namespace or None, **_BOUNDED)
            await _plain(await _asked(create))
        except FAILED as error:
            if _status(error) != HTTPStatus.CONFLICT:
                raise _translated(error, f"create {at}") from error

    async def delete(self, at: Key) -> None:
        """Deleting what is gone already is done."""
        try:
            resource = await self._resource(at.api_version, at.kind)
            delete = partial(resource.delete, name=at.name, namespace=at.namespace or None, **_BOUNDED)
            await _plain(await _asked(delete))
        except FAILED as error:
            if _status(error) != HTTPStatus.NOT_FOUND:
                raise _translated(error, f"delete {at}") from error

    async def merge(self, at: Key, body: Mapping[str, Any], subresource: str = "") -> Manifest:
        """A merge patch; with `metadata.resourceVersion` in the body it is refused when somebody wrote in between."""
        try:
            target = await self._target(at, subresource)
            patch = partial(
                target.patch, body=dict(body), name=at.name, namespace=at.namespace or None,
                content_type="application/merge-patch+json", **_BOUNDED,
            )  # fmt: skip
            written = await _plain(await _asked(patch))
        except FAILED as error:
            raise _translated(error, f"patch {at}") from error
        self._told(written)
        return written

    async def text(self, path: str) -> str:
        """What a path answers that is no object: a log, metrics. Asked once: it is mostly another program's answer that
        comes through the API server, and that one fails for longer than a moment."""
        try:
            answer = await self._dynamic.request("get", path, **_BOUNDED)
            return str(await answer.text())
        except FAILED as error:
            raise _translated(error, f"read {path}") from error

    async def knows(self, api_version: str, kind: str) -> bool:
        """Asks the one group only: the dynamic client would discover all of them anew for each kind that is missing."""
        try:
            path = f"/apis/{api_version}"
            answer = await _plain(await _read(lambda: self._dynamic.request("get", path, **_BOUNDED)))
        except FAILED as error:
            if _status(error) == HTTPStatus.NOT_FOUND:
                return False
            raise _translated(error, f"ask for {api_version}") from error
        return any(resource["kind"] == kind for resource in answer.get("resources", ()))

    async def _target(self, at: Key, subresource: str) -> Any:
        resource = await self._resource(at.api_version, at.kind)
        if not subresource:
            return resource
        try:
            return resource.subresources[subresource]
        except KeyError as error:
            raise Invalid(f"{at} has no /{subresource}: name an object that has one") from error

    async def _resource(self, api_version: str, kind: str) -> Any:
        """With the prefix: without it the library asks every group there is, one after the other."""
        wanted = {"prefix": "apis" if "/" in api_version else "api", "api_version": api_version, "kind": kind}
        try:
            return await _read(lambda: self._dynamic.resources.get(**wanted))
        except ResourceNotFoundError as error:
            raise Invalid(f"the cluster knows no {kind} of {api_version}: install the CRDs first") from error


class Kinds(LazyDiscoverer):  # type: ignore[misc]  # the library has no types
    """The library's, which otherwise believes a file in the common folder for temporary files that anybody may have
    written, for a server of another time at the same address."""

    def __init__(self, asking: DynamicClient, _: str | None) -> None:
        super().__init__(asking, NO_FILE)

    def _write_cache(self) -> None:
        """Each process asks for itself."""


class Patient(DynamicClient):  # type: ignore[misc]  # the library has no types
    """The library gives its own requests, those for kinds, five minutes; a look would wait for them."""

    async def request(self, method: str, path: str, body: object = None, **params: Any) -> Any:
        REQUESTS.labels(method.lower()).inc()
        return await super().request(method, path, body, **{"_request_timeout": REQUEST_S, **params})


def _nobody(_: Manifest) -> None:
    """Hears what is written, where no mirror does."""


@asynccontextmanager
async def connected(told: Callable[[Manifest], object] = _nobody, *, patient: bool = False) -> AsyncIterator[Cluster]:
    """In a pod by its service account, elsewhere by KUBECONFIG. `patient`: waits for a server that is away."""
    try:
        config.load_incluster_config()
    except config.ConfigException:
        await _configured()
    async with client.ApiClient() as api:
        yield Cluster(await _reached(api, patient=patient), told)


async def _configured() -> None:
    """The library says it in as many ways as a file may be missing, empty or wrong."""
    try:
        await config.load_kube_config()
    except (config.ConfigException, yaml.YAMLError, OSError, KeyError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise Invalid(f"no cluster is configured: name a kubeconfig that works in KUBECONFIG ({why})") from error


async def _reached(api: client.ApiClient, *, patient: bool) -> DynamicClient:
    failures = 0
    while True:
        try:
            return await _read(lambda: Patient(api, discoverer=Kinds))
        except FAILED as error:
            failures += 1
            if not patient:
                raise _translated(error, "ask which kinds there are") from error
            log.warning("server_not_reached", error=str(error) or "no answer")
            await asyncio.sleep(retry_after_s(failures, LAST_TRANSIENT_RETRY_S))


async def _asked(request: Callable[[], Awaitable[Any]]) -> Any:
    """A write is asked again too: applied twice it is the same, and a patch that names a version is refused then."""
    return await on_error(AGAIN, _passes, request)


async def _read(request: Callable[[], Awaitable[Any]]) -> Any:
    """Once more also after no answer: a look has a dozen reads, and one that got lost would lose them all."""
    return await on_error(ONCE_MORE, _unanswered, lambda: _asked(request))


def _unanswered(error: Exception) -> bool:
    return isinstance(error, TimeoutError)


def _passes(error: Exception) -> bool:
    """429, whatever the server blames on itself, and a connection that broke; who was waited for in vain is not."""
    if isinstance(error, aiohttp.ClientConnectionError):
        return not isinstance(error, TimeoutError)
    return _status(error) == HTTPStatus.TOO_MANY_REQUESTS or _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR


async def _plain(answer: Any) -> dict[str, Any]:
    """As the JSON has it: the dynamic client's own objects cost more than all the rest of a look."""
    plain = await answer.json()
    assert isinstance(plain, dict)
    return plain


def _status(error: Exception) -> int:
    """0 when the server did not answer at all."""
    return int(getattr(error, "status", 0) or 0)


_KNOWN: Mapping[int, type[Transient]] = {HTTPStatus.CONFLICT: Conflict, HTTPStatus.GONE: Expired}


def _translated(error: Exception, what: str) -> Exception:
    status = _status(error)
    if not status:
        return Transient(f"the API server does not answer: cannot {what} ({error})")
    said = f"the API server refuses to {what} ({status}): {_message(error)}"
    if status in _KNOWN:
        return _KNOWN[status](said)
    return Invalid(said) if status in REFUSED else Transient(said)


def _message(error: Exception) -> str:
    """The server's own sentence, out of the Status object that it sends."""
    body = getattr(error, "body", b"") or b""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    try:
        return str(json.loads(text)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return text[:500]
