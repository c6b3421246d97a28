"""A front on a cluster: a BufferCluster with addresses, and a Service of pods behind it that tell where they run."""

import json
import time

from support import shipped
from support.cluster.provider import Cluster, NodeSpec
from support.http_load import Load, load

ROLE = "sentinel.io/role"
EDGES = ("edge1", "edge2")
BUFFERS = ("buffer1", "buffer2", "buffer3")
SPARE = "spare1"
NODES = (
    *(NodeSpec(name, {ROLE: "edge"}) for name in EDGES),
    *(NodeSpec(name, {ROLE: "buffer"}) for name in BUFFERS),
    NodeSpec(SPARE),
)
PORT, FEED_PORT = 8080, 9000

SERVER = f"""
import hashlib, http.server, os, socket
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # five, the default, are full after a moment without a processor
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer(os.environ["NODE"].encode())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())
    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *args): pass
feed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
feed.bind(("", {FEED_PORT}))  # nobody reads it: what counts is whether it came
Server(("", {PORT}), Answer).serve_forever()
"""


def shop() -> str:
    """A pod on each buffer node that tells where it runs, and the Service before them."""
    labels = {"app": "shop"}
    pod = {
        "nodeSelector": {ROLE: "buffer"},
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "shop",
                "image": f"{shipped.AGENT_IMAGE}:dev",
                "imagePullPolicy": "Never",
                "command": ["python3", "-c", SERVER],
                "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "50m"}},  # else it stands behind everybody who asked for some
            }
        ],
    }
    daemons = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [daemons, service("shop")]})


def service(name: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "LoadBalancer",
            "loadBalancerClass": "sentinel.io/buffer",
            "externalTrafficPolicy": "Local",
            "selector": {"app": "shop"},
            "ports": [
                {"name": "shop", "port": PORT, "protocol": "TCP"},
                {"name": "feed", "port": FEED_PORT, "protocol": "UDP"},
            ],
        },
    }


def another(name: str) -> str:
    """A Service more before the same pods."""
    return json.dumps(service(name))


def front(pool: str) -> str:
    return json.dumps(
        {
            "apiVersion": "sentinel.io/v1alpha1",
            "kind": "BufferCluster",
            "metadata": {"name": "front", "namespace": "default"},
            "spec": {
                "nodes": len(BUFFERS),
                "trafficClasses": [{"name": "shop", "profile": "llm", "match": [{"port": PORT}]}],
                "agent": {"imagePullPolicy": "Never", "updateStrategy": {"soakSeconds": 5}},
                "dataPlane": {"interfaces": [{"rateBitsPerSecond": 1_000_000_000}]},
                "loadBalancer": {"replicas": len(EDGES), "addressPool": [pool], "announce": {"mode": "ARP"}},
            },
        }
    )


def address_of(cluster: Cluster, service: str = "shop") -> str:
    """What was given to it; empty while there is none."""
    status = (shipped.get(cluster, "svc", service) or {}).get("status", {})
    return next((each["ip"] for each in status.get("loadBalancer", {}).get("ingress", [])), "")


def tried(address: str, seconds: float = 1.0) -> Load:
    with load(address, PORT) as asked:
        time.sleep(seconds)
    return asked


def whole(cluster: Cluster, address: str) -> bool:
    """Everybody works, and every request is answered, by either node."""
    pods = {each: len(shipped.running_pods(cluster, each)) for each in ("agent", "balancer")}
    if not shipped.ready(cluster) or pods != {"agent": len(BUFFERS), "balancer": len(EDGES)}:
        return False
    asked = tried(address)
    return asked.fresh.failed == 0 and asked.fresh.by.keys() == set(BUFFERS)


def all_run(cluster: Cluster, tag: str) -> bool:
    """Agents and balancers, each from its image of that tag."""
    found = [
        container["image"]
        for pod in shipped.items(cluster, "pods", "-A", "-l", "app.kubernetes.io/component in (agent, balancer)")
        for container in pod["spec"]["containers"]
    ]
    return len(found) == len(EDGES) + len(BUFFERS) and all(each.endswith(f":{tag}") for each in found)
