"""docs/reference/configuration.md: what each process reads of its environment, found by letting it read; and the file
that agents and balancers obey on a machine without a cluster."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from pages.markdown import head, table
from sentinel_agent.settings import settings as agent
from sentinel_api import reference
from sentinel_api.structural import plain
from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_lb.settings import settings as balancer
from sentinel_operator.settings import settings as operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

FILE: Final = "/dev/null"  # is there and can be read, which is all that is asked of it
MESH: Final = {"SENTINEL_MESH_LISTEN": "tcp/0.0.0.0:7447"}
CREDENTIALS: Final = {f"SENTINEL_MESH_{name}": FILE for name in ("CA", "CERT", "KEY")}
ENCRYPTED: Final = {"SENTINEL_MESH_LISTEN": "tls/0.0.0.0:7447", **CREDENTIALS}
IMAGE: Final = {"SENTINEL_AGENT_IMAGE": "agent:1"}
HOST: Final = {"SENTINEL_NODE_NAME": "the host's name", "SENTINEL_POD_NAME": "the host's name"}
IN_IMAGE: Final = {"SENTINEL_OBJECT": "the one in the image"}

MEANINGS: Final[Mapping[str, str]] = {
    "SENTINEL_AGENT_IMAGE": "Image of the agents, for BufferClusters that name none. Needed.",
    "SENTINEL_BGP_SECRETS": "Folder with a file of the password for each BGP peer that has one.",
    "SENTINEL_BPFFS": "Where the BPF file system is mounted; programs and maps are pinned below it.",
    "SENTINEL_CONFIG_MAP": "Name of the ConfigMap that gives orders, where no `--config` names a file.",
    "SENTINEL_DEBUG_LISTEN": "Address of `/debug/state` and `/debug/ticks`; keep it to the machine.",
    "SENTINEL_DEBUG_PORT": "Their port; 0 takes any that is free.",
    "SENTINEL_FRR": "Folder of FRR's configuration.",
    "SENTINEL_FRR_INSTANCE": "FRR's instance, where several run on one machine.",
    "SENTINEL_HEALTH_PORT": "For the liveness probe.",
    "SENTINEL_INFLUX_TOKEN_FILE": "File with the token for InfluxDB.",
    "SENTINEL_INFLUX_URL": "Where InfluxDB takes line protocol; empty: nothing is sent.",
    "SENTINEL_LISTEN": "Address of metrics and probes.",
    "SENTINEL_LOG_FORMAT": "`json` or `text`.",
    "SENTINEL_LOG_LEVEL": "`Debug`, `Info`, `Warning` or `Error`.",
    "SENTINEL_MESH_AUTHORITY": "Folder of the `tls.crt` and `tls.key` that sign certificates; empty: in the clear.",
    "SENTINEL_MESH_CA": "File of the authority that signs the mesh's certificates; with CERT and KEY, or none of them.",
    "SENTINEL_MESH_CERT": "File of this node's certificate; a new one is taken up while running.",
    "SENTINEL_MESH_CLUSTER": "First part of the mesh's keys, so that clusters do not mix.",
    "SENTINEL_MESH_ENROL": "Folder where this node keeps the key and certificate that the operator signs for it.",
    "SENTINEL_MESH_KEY": "File of the certificate's key.",
    "SENTINEL_MESH_LISTEN": "Where this node listens: `tcp/ADDRESS:PORT`, or `tls/…` with a certificate; commas "
    "between several; empty: no mesh.",
    "SENTINEL_MESH_MEMBERS": "The only names that may speak; empty: whoever has a certificate.",
    "SENTINEL_MESH_MEMBERS_FILE": "File with those names, one a line; read again when it changes.",
    "SENTINEL_MESH_PEERS": "Whom it calls, written likewise; those that are not there yet are tried for ever.",
    "SENTINEL_MESH_PORT": "Port on each node where agents and balancers meet; 0 is off.",
    "SENTINEL_MESH_ROUTERS": "Routers whose client this node is, instead of peers.",
    "SENTINEL_MESH_ZONE": "Whose routers those are: other zones hear no more of this node than a sum.",
    "SENTINEL_MESH_ZONES": "`true`: members meet at routers of their zone, which the operator runs.",
    "SENTINEL_MESH_ZONES_FILE": "File that says which zone this node is in and who its routers are, instead of both.",
    "SENTINEL_METRICS_PORT": "For Prometheus.",
    "SENTINEL_NAMESPACE": "Where the Lease or the configuration is kept.",
    "SENTINEL_NODE_NAME": "This node's name, as Kubernetes and the mesh know it.",
    "SENTINEL_OBJECT": "The BPF object that is loaded.",
    "SENTINEL_OTLP_ENDPOINT": "Where OTLP over HTTP is taken, without `/v1/metrics`; empty: nothing is sent.",
    "SENTINEL_POD_NAME": "Who this replica is in the Lease.",
    "SENTINEL_SCALER_PORT": "For KEDA's external scaler; 0 is off.",
    "SENTINEL_SINK_SECONDS": "How often InfluxDB and OTLP are told, 1 to 3600.",
}

PAGE: Final = """\
{head}
What users want of a cluster stands in the BufferCluster ([reference](buffercluster.md)). This page is about how the
processes run: each reads its environment once, at start, and refuses what it cannot use with one sentence.

## The operator

{operator}
## The node agent

`sentinel-agent`, in a pod by the API server's orders, elsewhere by `--config FILE` ([its words](#the-agents-file)).

{agent}
## The balancer

`sentinel-lb`, by a ConfigMap or by `--config FILE` ([its words](#the-balancers-file)).

{balancer}
## The agent's file

{node}
## The balancer's file

{balancer_file}"""


class Asked(dict[str, str]):
    """An environment that writes down what is asked of it, and the default that stands in."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.defaults: dict[str, str] = {}

    def get(self, name: str, default: Any = None) -> Any:
        self.defaults[name] = str(default if default is not None else "")
        return super().get(name, default)


def page() -> str:
    return PAGE.format(
        head=head("Configuration of the processes"),
        operator=_table(operator, IMAGE),
        agent=_table(agent, MESH, ENCRYPTED),
        balancer=_table(balancer, MESH, ENCRYPTED),
        node=_file(NodeConfig, "agent"),
        balancer_file=_file(BalancerConfig, "balancer"),
    )


def asked(read: Callable[[Mapping[str, str]], object], environments: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Every name that was asked for in any of these environments, with its default."""
    found: dict[str, str] = {}
    for given in ({}, *environments):
        environment = Asked({**(IMAGE if read is operator else {}), **given})
        read(environment)
        found |= environment.defaults
    return found


def _table(read: Callable[[Mapping[str, str]], object], *environments: Mapping[str, str]) -> str:
    rows = sorted(asked(read, environments).items())
    unexplained = [name for name, _ in rows if name not in MEANINGS]
    assert not unexplained, f"say in tools/pages/pages/environment.py what {', '.join(unexplained)} means"
    return table(("variable", "default", "meaning"), ((f"`{n}`", _shown(n, value), MEANINGS[n]) for n, value in rows))


def _shown(name: str, default: str) -> str:
    """Nothing of the machine that writes the page may stand in it."""
    if name in HOST or default == os.uname().nodename:
        return HOST.get(name, "the host's name")
    return IN_IMAGE.get(name) or (f"`{default}`" if default else "")


def _file(model: type[Any], who: str) -> str:
    schema = plain(model)
    lines = [f"{schema['description']} Every field, with bounds and default:", ""]
    for name, field in schema["properties"].items():
        inner = field.get("items", field)
        if "properties" in inner:
            lines += reference.section(f"{name}" + ("[]" if "items" in field else ""), inner | _words(field))
        else:
            default = json.dumps(field["default"]) if "default" in field else "needed"
            lines += [f"## `{name}` of the {who}'s file", "", f"{field['description']} Default: `{default}`.", ""]
    return "\n".join(lines)


def _words(field: Mapping[str, Any]) -> dict[str, str]:
    return {"description": field["description"]}
