"""What the operator orders of this node: a watch of its own BufferNode, and the configuration that it names.

Runs in a thread of its own and hands over frozen values. While the API server is away the last good ones stay; what
cannot be read is told and changes nothing.
"""

from __future__ import annotations

import json
import random
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_agent.kube import Api, Gone
from sentinel_api.errors import Invalid, Transient
from sentinel_api.names import API_VERSION
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_api.v1alpha1.nodeconfig import CONFIG_FILE, NodeConfig, config_map_name, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_api.v1alpha1.buffernode import BufferNodeSpec

WATCH_S: Final = 300
FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 30.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Command:
    """Orders, and the configuration they name, read and checked."""

    generation: int
    spec: BufferNodeSpec
    config: NodeConfig


class Follower:
    """`obey` is given orders; `refuse` the sentence that says why new ones could not even be read, so that it is told
    where people look."""

    def __init__(
        self, api: Api, node: str, obey: Callable[[Command], None], refuse: Callable[[str], None] = lambda _why: None
    ) -> None:
        self._api = api
        self._node = node
        self._obey = obey
        self._refuse = refuse
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The watch may sleep in a read for minutes; as a daemon thread it ends with the process."""
        self._stopped.set()

    def _run(self) -> None:
        wait_s = FIRST_RETRY_S
        while not self._stopped.is_set():
            try:
                self._follow()
                wait_s = FIRST_RETRY_S
            except Gone:
                continue
            except (Transient, Invalid) as error:
                if isinstance(error, Invalid):
                    self._refuse(str(error))
                log.warning("orders_unreadable", error=str(error), again_s=wait_s)
                self._stopped.wait(wait_s * random.uniform(0.5, 1.5))  # noqa: S311  jitter, no secret
                wait_s = min(LAST_RETRY_S, wait_s * 2)

    def _follow(self) -> None:
        """List, then watch from there until the server ends the stream."""
        path = f"/apis/{API_VERSION}/buffernodes"
        query = f"?fieldSelector=metadata.name%3D{self._node}"
        listed = self._api.get(path + query)
        if listed is None:
            raise Transient("the API server knows no BufferNodes yet: are the CRDs installed?")
        for item in listed["items"]:
            self._take(item)
        with closing(self._api.watch(path + query, listed["metadata"]["resourceVersion"], WATCH_S)) as events:
            for event in events:
                if self._stopped.is_set():
                    return
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._take(event["object"])

    def _take(self, stored: dict[str, object]) -> None:
        node = BufferNode.parse({"apiVersion": API_VERSION, "kind": "BufferNode", **stored})
        config = self._config(node.spec)
        self._obey(Command(node.metadata.generation or 0, node.spec, config))

    def _config(self, spec: BufferNodeSpec) -> NodeConfig:
        ref = spec.cluster_ref
        name = config_map_name(ref.name, spec.config_digest)
        stored = self._api.get(f"/api/v1/namespaces/{ref.namespace}/configmaps/{name}")
        if stored is None:
            raise Transient(f"ConfigMap {ref.namespace}/{name} is not there yet")
        text = str(stored.get("data", {}).get(CONFIG_FILE, ""))
        if digest_of(text) != spec.config_digest:
            raise Invalid(
                f"ConfigMap {ref.namespace}/{name} has another digest than ordered: it was changed; delete it"
            )
        return NodeConfig.parse(json.loads(text))
