"""etcd and kube-apiserver (controller-manager and scheduler when asked) as plain processes, ready in seconds."""

import base64
import contextlib
import random
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import requests
import yaml

from support.cluster import pki
from support.cluster.binaries import binary
from support.cluster.identities import Identities
from support.cluster.processes import Process, wait_until

Part = Literal["etcd", "apiserver", "controller-manager", "scheduler"]
BARE: tuple[Part, ...] = ("etcd", "apiserver")
FOLLOWERS: tuple[Part, ...] = ("controller-manager", "scheduler")
WHOLE: tuple[Part, ...] = (*BARE, *FOLLOWERS)

SERVICE_CIDR = "10.96.0.0/16"
ISSUER = "https://kubernetes.default.svc"
READY_S = 240.0  # a busy machine takes most of a minute; it only ends what hangs
REQUEST_S = 120.0
READY = ("/readyz", "/api/v1/namespaces/default")  # the first namespaces are made a moment after it calls itself ready
RENEWAL_S = 10.0  # by default, after which one that cannot renew its Lease ends; its node starts it again
PORTS = range(20_000, 30_000)


def free_ports(address: str, count: int) -> list[int]:
    """Below the range that the kernel gives away by itself, and each at most once a machine while this process lives:
    between here and the program that will listen, neither a connection nor another test run takes one."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        if _reserved(address, port):
            found.append(port)
    return found


def _reserved(address: str, port: int) -> bool:
    """A name in the abstract namespace is the reservation: the kernel drops it with the process, however that ends."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0sentinel-test-port-{port}")
        socket.create_server((address, port)).close()
    except OSError:
        claim.close()
        return False
    claim.detach()  # open until this process ends, and nobody's to close
    return True


class ControlPlane:
    """A real Kubernetes API without a node; `close` leaves nothing but the caller's folder."""

    def __init__(
        self,
        folder: Path,
        *,
        parts: Sequence[Part] = BARE,
        address: str = "127.0.0.1",
        service_cidr: str = SERVICE_CIDR,
        users: Mapping[str, str] | None = None,
        tied: bool = True,
    ) -> None:
        """`address`: where the API server listens, and is told to the nodes. `users`: those with a token from the
        start, and the group of each. `tied`: dies with this process."""
        self.folder = folder
        self.address = address
        self.kubeconfig = folder / "kubeconfig"
        self._users = {"admin": "system:masters"} | dict(users or {})
        self.tokens = {user: secrets.token_hex(16) for user in self._users}
        self.token = self.tokens["admin"]
        self._service_cidr = service_cidr
        self._tied = tied
        first = service_cidr.partition("/")[0].rpartition(".")[0] + ".1"
        names = ["localhost", "127.0.0.1", address, first, "kubernetes", "kubernetes.default.svc"]
        self.pki = pki.create(folder / "pki", names)
        self._etcd_port, self._peer_port = free_ports("127.0.0.1", 2)
        (self._port,) = free_ports(address, 1)
        self.url = f"https://{address}:{self._port}"
        self._processes = {part: self._process(part) for part in parts}
        self._ended_s = dict.fromkeys(parts, float("inf"))
        self._session = requests.Session()
        self._session.verify = str(self.pki.root)
        self._session.trust_env = False  # a proxy of the machine must not come between
        self._identities = Identities() if tied else None
        self._write_files()

    def up(self) -> None:
        """Start every part; the controllers need an API server that answers."""
        for part in self._processes:
            self.start(part)

    def start(self, part: Part) -> None:
        if part == "apiserver":
            with self._followers_start_again():
                self._processes[part].start()
                self.wait_ready()
        else:
            self._processes[part].start()

    @contextlib.contextmanager
    def _followers_start_again(self) -> Iterator[None]:
        """As elsewhere, where they end for want of their Lease; one that lives on takes the nodes for silent."""
        away = time.monotonic() - self._ended_s["apiserver"] > RENEWAL_S
        ended = [each for part, each in self._processes.items() if part in FOLLOWERS and each.running] if away else []
        for process in ended:
            process.kill()
        yield
        for process in ended:
            process.start()

    def stop(self, part: Part) -> None:
        self._processes[part].stop()
        self._ended_s[part] = time.monotonic()

    def kill(self, part: Part) -> None:
        self._processes[part].kill()
        self._ended_s[part] = time.monotonic()

    def close(self) -> None:
        for process in reversed(self._processes.values()):
            process.kill()  # nobody reads its data again
        self._session.close()
        if self._identities is not None:
            self._identities.close()

    def wait_ready(self) -> None:
        wait_until(f"the API server at {self.url}", self._ready, READY_S)

    def _ready(self) -> bool:
        self._processes["apiserver"].check()
        headers = self._headers()
        try:
            return all(self._session.get(self.url + path, headers=headers, timeout=REQUEST_S).ok for path in READY)
        except requests.RequestException:
            return False

    def _headers(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token if token is None else token}"}

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | str | bytes | None = None,
        token: str | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, dict[str, Any]]:
        """One call of the API as `token` (the administrator without one). A text is sent as it is (YAML for apply)."""
        raw = isinstance(body, str | bytes)
        answer = self._session.request(
            method,
            self.url + path,
            data=body if raw else None,
            json=None if raw or body is None else body,
            headers=self._headers(token) | {"Content-Type": content_type},
            timeout=REQUEST_S,
        )
        try:
            content = answer.json()
        except requests.JSONDecodeError:
            content = {"message": answer.text}
        return answer.status_code, content

    def token_for(self, user: str, groups: Sequence[str] = (), extra: Mapping[str, Sequence[str]] | None = None) -> str:
        """A token of a user that the API server has never heard of; what it may do is up to RBAC."""
        if self._identities is None:
            raise RuntimeError(
                "A control plane that outlives this process knows no users of it: use service_account_token."
            )
        return self._identities.token_for(user, groups, extra)

    def service_account_token(self, namespace: str, name: str, pod: str | None = None) -> str:
        """By TokenRequest; bound to `pod`, it carries the claim of that pod's node."""
        spec: dict[str, Any] = {"expirationSeconds": 3600}
        if pod is not None:
            status, found = self.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}")
            assert status == 200, found
            uid = found["metadata"]["uid"]
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        status, answer = self.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", body)
        assert status == 201, answer
        return str(answer["status"]["token"])

    def kubectl(self, *args: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        # What it found out about kinds is kept by address, and another server may have had this one before.
        own = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder / 'kubectl'}"]
        command = [str(binary("kubectl")), *own, *args]
        return subprocess.run(command, check=check, capture_output=True, text=True, input=stdin)

    def wait_served(self, *plurals: str) -> None:
        """Until `kubectl` and so everybody knows these kinds: a definition is established a moment before that."""
        asked = ("get", ",".join(plurals), "-A")
        wait_until(f"{plurals} are served", lambda: self.kubectl(*asked, check=False).returncode == 0, READY_S)

    def kubeconfig_for(self, token: str, path: Path) -> Path:
        """A kubeconfig of another identity, for a client that reads nothing else."""
        authority = base64.b64encode(self.pki.root.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def _write_files(self) -> None:
        lines = [f"{self.tokens[user]},{user},{user},{group}\n" for user, group in self._users.items()]
        (self.folder / "tokens.csv").write_text("".join(lines))
        self.kubeconfig_for(self.token, self.kubeconfig)
        accounts = {"level": "Metadata", "userGroups": ["system:serviceaccounts:sentinel-system"]}
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
        (self.folder / "audit.yaml").write_text(yaml.safe_dump({**policy, "rules": [accounts, {"level": "None"}]}))
        if self._identities is not None:
            self._identities.write_config(self.folder / "identities.yaml")

    def _process(self, part: Part) -> Process:
        arguments = {
            "etcd": self._etcd,
            "apiserver": self._apiserver,
            "controller-manager": self._controller_manager,
            "scheduler": self._scheduler,
        }
        program = part if part == "etcd" else f"kube-{part}"
        return Process(part, [binary(program), *arguments[part]()], self.folder, tied=self._tied)

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._peer_port))
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",  # a test's data need not survive the machine
        ]

    def _apiserver(self) -> list[str]:
        alone = self.address.startswith("127.")  # no node will look for it, and a loopback is no endpoint
        users = [f"--authentication-token-webhook-config-file={self.folder / 'identities.yaml'}"]
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self._port}",
            f"--endpoint-reconciler-type={'none' if alone else 'lease'}",
            f"--service-cluster-ip-range={self._service_cidr}",
            f"--tls-cert-file={self.pki.serving}",
            f"--tls-private-key-file={self.pki.serving_key}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self.pki.accounts}",
            f"--service-account-signing-key-file={self.pki.accounts_key}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            *(users if self._tied else []),
            "--authentication-token-webhook-version=v1",
            "--authorization-mode=Node,RBAC",
            f"--audit-policy-file={self.folder / 'audit.yaml'}",  # what our own accounts ask for, for tests of rights
            f"--audit-log-path={self.folder / 'audit.jsonl'}",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",  # `exec` and `logs` would look node names up in DNS
            "--shutdown-delay-duration=0s",
        ]

    def _controller_manager(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self.pki.accounts_key}",
            f"--root-ca-file={self.pki.root}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--secure-port=0",
            # A dead node is to be noticed within a test's patience; node.py sets the leases to match.
            "--node-monitor-grace-period=16s",
            "--node-monitor-period=2s",
        ]

    def _scheduler(self) -> list[str]:
        return [f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0"]


@contextlib.contextmanager
def running(folder: Path, *, parts: Sequence[Part] = BARE) -> Iterator[ControlPlane]:
    """A control plane for the length of a `with`."""
    plane = ControlPlane(folder, parts=parts)
    try:
        plane.up()
        yield plane
    finally:
        plane.close()
