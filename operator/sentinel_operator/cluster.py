"""The one door to the API server: reads, server-side apply, deletes; foreign exceptions end here."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.exceptions import DynamicApiError, ResourceNotFoundError

from sentinel_api.errors import Invalid, Transient
from sentinel_operator.objects import FIELD_MANAGER, Key, Manifest, key

UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)
FAILED = (ApiException, DynamicApiError, *UNREACHABLE)
REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}


class Conflict(Transient):
    """Somebody wrote in between; look again, then decide again."""


class Cluster:
    """Typed thinly over the dynamic client: objects are plain mappings in and out."""

    def __init__(self, dynamic: DynamicClient) -> None:
        self._dynamic = dynamic

    async def get(self, at: Key, subresource: str = "") -> Manifest | None:
        try:
            target = await self._target(at, subresource)
            found = await target.get(name=at.name, namespace=at.namespace or None)
        except FAILED as error:
            if _status(error) == HTTPStatus.NOT_FOUND:
                return None
            raise _translated(error, f"read {at}") from error
        return _plain(found)

    async def list(self, api_version: str, kind: str, namespace: str = "", labels: str = "") -> tuple[Manifest, ...]:
        try:
            resource = await self._resource(api_version, kind)
            found = await resource.get(namespace=namespace or None, label_selector=labels or None)
        except FAILED as error:
            raise _translated(error, f"list {kind}s") from error
        return tuple({"apiVersion": api_version, "kind": kind, **item} for item in _plain(found).get("items", ()))

    async def apply(self, manifest: Manifest) -> None:
        at = key(manifest)
        try:
            resource = await self._resource(at.api_version, at.kind)
            await self._dynamic.server_side_apply(
                resource, body=dict(manifest), namespace=at.namespace or None, field_manager=FIELD_MANAGER,
                force_conflicts=True,
            )  # fmt: skip
        except FAILED as error:
            raise _translated(error, f"apply {at}") from error

    async def delete(self, at: Key) -> None:
        """Deleting what is gone already is done."""
        try:
            resource = await self._resource(at.api_version, at.kind)
            await resource.delete(name=at.name, namespace=at.namespace or None)
        except FAILED as error:
            if _status(error) != HTTPStatus.NOT_FOUND:
                raise _translated(error, f"delete {at}") from error

    async def merge(self, at: Key, body: Mapping[str, Any], subresource: str = "") -> Manifest:
        """A merge patch; with `metadata.resourceVersion` in the body it is refused when somebody wrote in between."""
        try:
            target = await self._target(at, subresource)
            merged = await target.patch(
                body=dict(body), name=at.name, namespace=at.namespace or None,
                content_type="application/merge-patch+json",
            )  # fmt: skip
        except FAILED as error:
            raise _translated(error, f"patch {at}") from error
        return _plain(merged)

    async def _target(self, at: Key, subresource: str) -> Any:
        resource = await self._resource(at.api_version, at.kind)
        if not subresource:
            return resource
        try:
            return resource.subresources[subresource]
        except KeyError as error:
            raise Invalid(f"{at} has no /{subresource}: name an object that has one") from error

    async def _resource(self, api_version: str, kind: str) -> Any:
        try:
            return await self._dynamic.resources.get(api_version=api_version, kind=kind)
        except ResourceNotFoundError as error:
            raise Invalid(f"the cluster knows no {kind} of {api_version}: install the CRDs first") from error


@asynccontextmanager
async def connected() -> AsyncIterator[Cluster]:
    """In a pod by its service account, elsewhere by KUBECONFIG."""
    try:
        config.load_incluster_config()
    except config.ConfigException:
        await config.load_kube_config()
    async with client.ApiClient() as api, DynamicClient(api) as dynamic:
        yield Cluster(dynamic)


def _plain(found: Any) -> dict[str, Any]:
    plain = found.to_dict()
    assert isinstance(plain, dict)
    return plain


def _status(error: Exception) -> int:
    """0 when the server did not answer at all."""
    return int(getattr(error, "status", 0) or 0)


def _translated(error: Exception, what: str) -> Exception:
    status = _status(error)
    if not status:
        return Transient(f"the API server does not answer: cannot {what} ({error})")
    said = f"the API server refuses to {what} ({status}): {_message(error)}"
    if status == HTTPStatus.CONFLICT:
        return Conflict(said)
    return Invalid(said) if status in REFUSED else Transient(said)


def _message(error: Exception) -> str:
    """The server's own sentence, out of the Status object that it sends."""
    body = getattr(error, "body", b"") or b""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    try:
        return str(json.loads(text)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return text[:500]
