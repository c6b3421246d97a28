"""A support bundle: objects, logs, metrics and the doctor's word of a cluster in one archive, redacted."""

import io
import json
import tarfile
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import yaml

from sentinel_api.errors import SentinelError
from sentinel_api.names import API_VERSION, CLUSTER_LABEL
from sentinel_cli.cluster.redact import Redactor
from sentinel_cli.doctor import decide, observe, report
from sentinel_operator.cluster import Cluster

OURS = "app.kubernetes.io/name in (sentinel-operator,sentinel-agent,sentinel-balancer)"
EVERYWHERE = (
    (API_VERSION, "BufferCluster", ""),
    (API_VERSION, "BufferNode", ""),
    ("apps/v1", "DaemonSet", CLUSTER_LABEL),
    ("apps/v1", "Deployment", OURS),
    ("v1", "ConfigMap", CLUSTER_LABEL),
    ("v1", "Pod", OURS),
)
LOG_LINES = 2_000


async def files(api: Cluster, redactor: Redactor) -> AsyncIterator[tuple[str, str]]:
    """Name and content of each; what cannot be read says why in its place, since a half bundle helps too."""
    pods: tuple[Mapping[str, Any], ...] = ()
    for api_version, kind, labels in EVERYWHERE:
        try:
            found = await api.list(api_version, kind, labels=labels)
        except SentinelError as error:
            yield f"objects/{kind}.error.txt", redactor.text(f"{error}\n")
            continue
        yield f"objects/{kind}.yaml", yaml.safe_dump_all(redactor.value(found), sort_keys=False)
        pods = found if kind == "Pod" else pods
    async for name, text in _events(api):
        yield name, redactor.text(text)
    for pod in pods:
        async for name, text in _of_pod(api, pod):
            yield name, redactor.text(text)
    yield "doctor.json", redactor.text(json.dumps(report.as_json(decide.diagnose(observe.machine())), indent=2))


async def _events(api: Cluster) -> AsyncIterator[tuple[str, str]]:
    path = "/api/v1/events?fieldSelector=involvedObject.kind=BufferCluster"
    try:
        found = json.loads(await api.text(path)).get("items", [])
    except SentinelError as error:
        yield "events.error.txt", f"{error}\n"
        return
    lines = (f"{e.get('lastTimestamp')} {e['type']} {e['reason']} {e['message']}" for e in found)
    yield "events.txt", "\n".join(sorted(lines)) + "\n"


async def _of_pod(api: Cluster, pod: Mapping[str, Any]) -> AsyncIterator[tuple[str, str]]:
    meta = pod["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
    ports = [p for c in pod["spec"]["containers"] for p in c.get("ports", ()) if p.get("name") == "metrics"]
    wanted = {"log": f"{path}/log?tailLines={LOG_LINES}"}
    if ports:
        wanted["metrics"] = f"{path}:{ports[0]['containerPort']}/proxy/metrics"
    for what, where in wanted.items():
        name = f"{what}/{meta['namespace']}.{meta['name']}"
        try:
            yield f"{name}.txt", await api.text(where)
        except SentinelError as error:
            yield f"{name}.error.txt", f"{error}\n"


async def archive(api: Cluster, redactor: Redactor, now: datetime) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        async for name, text in files(api, redactor):
            content = text.encode()
            entry = tarfile.TarInfo(f"sentinel-report/{name}")
            entry.size, entry.mtime = len(content), int(now.timestamp())
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
