"""What this balancer shall do, from a file or from a ConfigMap of the cluster; a mistake in it changes nothing.

In a cluster one object is asked for once a second: that is one small request a balancer, and needs no right but to
read that object. While the API server is away the last configuration stays.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import structlog
import yaml

from sentinel_api.errors import Invalid, SentinelError, Transient
from sentinel_api.v1alpha1.balancerconfig import BalancerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONFIG_KEY: Final = "config.json"
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PERIOD_S: Final = 1.0
TIMEOUT_S: Final = 5.0

log = structlog.get_logger()


class Source(Protocol):
    def read(self) -> str:
        """The text as it stands now. Raises Invalid or Transient."""


@dataclass(frozen=True, slots=True)
class File:
    path: Path

    def read(self) -> str:
        try:
            return self.path.read_text()
        except OSError as error:
            raise Invalid(f"cannot read {self.path} ({error.strerror}): name a file that is there") from error


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """`host` and `port` are those of the API server; token and authority are the pod's own."""

    host: str
    port: int
    namespace: str
    name: str
    account: Path = SERVICE_ACCOUNT

    @classmethod
    def in_cluster(
        cls, env: Mapping[str, str], namespace: str, name: str, account: Path = SERVICE_ACCOUNT
    ) -> ConfigMap:
        host = env.get("KUBERNETES_SERVICE_HOST")
        if not host or not (account / "token").exists():
            raise Invalid("this is no pod, so there is no API server to ask: give --config FILE")
        if not name:
            raise Invalid("SENTINEL_CONFIG_MAP is not set: name the ConfigMap that holds this balancer's configuration")
        return cls(host, int(env.get("KUBERNETES_SERVICE_PORT", "443")), namespace, name, account)

    def read(self) -> str:
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{self.name}"
        status, answer = self._get(path)
        if status == http.HTTPStatus.NOT_FOUND:
            raise Transient(f"ConfigMap {self.namespace}/{self.name} is not there yet")
        if status != http.HTTPStatus.OK:
            said = answer[:300].decode(errors="replace")
            raise Transient(f"the API server answers {path} with {status}: {said}")
        try:
            return str(json.loads(answer)["data"][CONFIG_KEY])
        except (ValueError, KeyError, TypeError) as error:
            raise Invalid(
                f"ConfigMap {self.namespace}/{self.name} has no {CONFIG_KEY}: let the operator write it"
            ) from error

    def _get(self, path: str) -> tuple[int, bytes]:
        try:
            trusted = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
            token = (self.account / "token").read_text().strip()
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT_S, context=trusted)
            with closing(connection):
                connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
                answer = connection.getresponse()
                return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Transient(f"the API server does not answer: {error}") from error


def parsed(text: str) -> BalancerConfig:
    """YAML or JSON, which is YAML."""
    try:
        found = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise Invalid(f"the configuration is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise Invalid("the configuration must be a mapping such as `vips: [...]`")
    return BalancerConfig.parse(found)


class Follower:
    """Reads again and again, and hands over what changed; `start` raises what is wrong with a file at the start."""

    def __init__(self, source: Source, obey: Callable[[BalancerConfig], None]) -> None:
        self._source = source
        self._obey = obey
        self._text = ""
        self._complaint = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        try:
            self._look()
        except Transient as error:
            log.warning("configuration_unreadable", error=str(error))
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(TIMEOUT_S)

    @property
    def complaint(self) -> str:
        """Why the newest configuration is not obeyed; empty when it is."""
        return self._complaint

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_S):
            try:
                self._look()
                self._complaint = ""
            except SentinelError as error:
                if str(error) != self._complaint:
                    log.warning("configuration_unreadable", error=str(error))
                self._complaint = str(error)

    def _look(self) -> None:
        text = self._source.read()
        if text == self._text:
            return
        self._obey(parsed(text))
        self._text = text
        log.info("configuration_read", bytes=len(text))
