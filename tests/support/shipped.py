"""Sentinel as users get it: images from the Dockerfiles, the chart by helm, and ways to look at what came of it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.cluster.binaries import binary
from support.cluster.processes import wait_until
from support.cluster.provider import Cluster

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/sentinel"
SYSTEM = "sentinel-system"
RELEASE = "sentinel"
AGENT_IMAGE = "sentinel.test/agent"
OPERATOR_IMAGE = "sentinel.test/operator"
PATIENCE_S = 240.0
SETTINGS = {
    "image.operator": OPERATOR_IMAGE,
    "image.agent": AGENT_IMAGE,
    "image.tag": "dev",
    "image.pullPolicy": "Never",
    "bpffs": "/run/sentinel/bpf",
}


def build_images() -> tuple[Path, ...]:
    """The operator's and the agent's, in this order."""
    done = subprocess.run([ROOT / "tools/images.sh", "operator", "agent"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(ROOT / "out/images" / f"{name}.tar" for name in ("operator", "agent"))


def helm(cluster: Cluster, *args: str) -> None:
    command = [binary("helm"), "--kubeconfig", cluster.kubeconfig, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def install(cluster: Cluster, *options: str, chart: Path = CHART, **values: str) -> None:
    """`install` or `upgrade`, whichever it takes; dots in the names of values are written as two underscores."""
    wanted = SETTINGS | {name.replace("__", "."): value for name, value in values.items()}
    settings = ",".join(f"{name}={value}" for name, value in wanted.items())
    helm(
        cluster,
        "upgrade",
        RELEASE,
        str(chart),
        "--install",
        "-n",
        SYSTEM,
        "--create-namespace",
        "--set",
        settings,
        *options,
    )


def get(cluster: Cluster, *args: str) -> dict[str, Any] | None:
    done = cluster.kubectl("get", *args, "-o", "json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def items(cluster: Cluster, *args: str) -> list[dict[str, Any]]:
    found = get(cluster, *args)
    return [] if found is None else found["items"]


def until(cluster: Cluster, what: str, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    try:
        wait_until(what, holds, patience_s, pause_s=0.5)
    except Exception as error:
        for args in (
            ("get", "pods,ds,deploy,svc,bufc,bufn", "-A", "-o", "wide"),
            ("describe", "pods", "-A"),
            ("get", "bufc,bufn", "-A", "-o", "yaml"),
            ("logs", "-n", SYSTEM, "-l", "app.kubernetes.io/name=sentinel-operator", "--tail=50"),
            ("logs", "-l", "app.kubernetes.io/component=agent", "--tail=50"),
            ("logs", "-l", "app.kubernetes.io/component=balancer", "--tail=50"),
        ):
            error.add_note(cluster.kubectl(*args, check=False).stdout[-6000:])
        raise


def condition(cluster: Cluster, kind: str = "Ready", *, name: str = "front", namespace: str = "default") -> str:
    """What a BufferCluster says: True, False, Unknown, or nothing yet; after a slash the reason."""
    found = get(cluster, "bufc", name, "-n", namespace) or {}
    said = [c for c in found.get("status", {}).get("conditions", []) if c["type"] == kind]
    return f"{said[0]['status']}/{said[0]['reason']}" if said else ""


def ready(cluster: Cluster, *, name: str = "front", namespace: str = "default") -> bool:
    return condition(cluster, name=name, namespace=namespace).startswith("True")


def xdp_on(cluster: Cluster, node: str) -> bool:
    return "sn_ingress" in cluster.run(node, "ip", "-d", "link", "show", "dev", "eth0").stdout


def running_pods(cluster: Cluster, component: str) -> set[str]:
    """Those of all whose containers are ready, by their identity."""
    return {
        pod["metadata"]["uid"]
        for pod in items(cluster, "pods", "-l", f"app.kubernetes.io/component={component}")
        if all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": False}]))
        and "deletionTimestamp" not in pod["metadata"]
    }
