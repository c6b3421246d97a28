"""What a cluster told while things were done to it, for whoever has to find out why a request had no answer."""

import contextlib
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from support import shipped
from support.cluster.binaries import binary
from support.cluster.provider import Cluster

STUCK = re.compile("SYN_SENT|ESTABLISHED")  # what a node still translates
LOG_BYTES = 2_000_000  # of a log, its end
AGAIN_S = 3.0  # after which a watch that ended is tried again: the API server may be what was taken away
WATCHED = {
    "endpoints": (
        "endpointslices",
        "-o",
        "custom-columns=N:.metadata.name,R:.endpoints[*].conditions.ready,W:.endpoints[*].nodeName",
    ),
    "nodes": ("nodes", "-o", 'custom-columns=N:.metadata.name,R:.status.conditions[?(@.type=="Ready")].status'),
    "pods": ("pods", "-A", "-o", "wide"),
    "balancers": ("configmap", "front-balancer", "-o", "custom-columns=D:.data"),
}
TOLD = {
    "operators.log": ("-n", shipped.SYSTEM, "-l", "app.kubernetes.io/name=sentinel-operator"),
    "operators-before.log": ("-n", shipped.SYSTEM, "-l", "app.kubernetes.io/name=sentinel-operator", "--previous"),
    "agents.log": ("-l", "app.kubernetes.io/component=agent"),
    "balancers.log": ("-l", "app.kubernetes.io/component=balancer"),
}


@dataclass
class Record:
    """Watches write as they hear; `keep` adds what is asked for only once."""

    cluster: Cluster
    folder: Path
    _over: threading.Event = field(default_factory=threading.Event)
    _watches: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def watch(self, name: str, what: Sequence[str]) -> None:
        command = [binary("kubectl"), "--kubeconfig", self.cluster.kubeconfig, "get", *what, "--watch"]
        with (self.folder / f"{name}.watch").open("w") as out:
            while not self._over.is_set():
                with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as heard:
                    self._watches[name] = heard
                    for line in heard.stdout or ():
                        out.write(f"{datetime.now(UTC):%H:%M:%S.%f} {line}")
                self._over.wait(AGAIN_S)

    def keep(self) -> None:
        for name, which in TOLD.items():
            told = self.cluster.kubectl("logs", *which, "--prefix", "--tail=400", check=False)
            (self.folder / name).write_text(told.stdout)
        self._keep_what_pods_missed()
        with (self.folder / "translated").open("w") as out:
            for node in self.cluster.nodes:
                known = self.cluster.run(node, "cat", "/proc/net/nf_conntrack", check=False).stdout
                out.writelines(f"{node} {line}\n" for line in known.splitlines() if STUCK.search(line))
        home = Path(self.cluster.kubeconfig).parent
        for log in (*home.glob("log/*.log"), *home.glob("node*/log/kube*.log")):
            name = "-".join(part for part in log.relative_to(home).parts if part != "log")
            (self.folder / name).write_bytes(log.read_bytes()[-LOG_BYTES:])

    def _keep_what_pods_missed(self) -> None:
        """Connections that a pod's own queue had no room for look from outside like packets that got lost."""
        with (self.folder / "pods.missed").open("w") as out:
            for pod in shipped.items(self.cluster, "pods", "-l", "app=shop"):
                name = pod["metadata"]["name"]
                told = self.cluster.kubectl("exec", name, "--", "cat", "/proc/net/netstat", check=False).stdout
                names, values = ([*line.split()] for line in told.splitlines()[:2]) if told else ([], [])
                missed = {each: value for each, value in zip(names, values, strict=True) if each.startswith("Listen")}
                out.write(f"{pod['spec']['nodeName']} {name} {missed}\n")

    def end(self) -> None:
        self._over.set()
        for heard in self._watches.values():
            heard.terminate()


@contextlib.contextmanager
def recorded(cluster: Cluster, folder: Path) -> Iterator[Record]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record = Record(cluster, folder)
    threads = [threading.Thread(target=record.watch, args=each) for each in WATCHED.items()]
    for thread in threads:
        thread.start()
    try:
        yield record
    finally:
        record.keep()
        record.end()
        for thread in threads:
            thread.join()
