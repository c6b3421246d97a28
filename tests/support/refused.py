"""Objects that nobody may store, each with the place and the sentence; model and API server must both say so."""

from dataclasses import dataclass
from typing import Any, Literal

DIGEST = "sha256:" + "0" * 64
NODE_SPEC: dict[str, Any] = {"clusterRef": {"namespace": "default", "name": "front"}, "configDigest": DIGEST}
WHEN = "2030-01-31T12:00:00Z"
MATCH = [{"port": 80}]


@dataclass(frozen=True, slots=True)
class Refused:
    """`half` of an object of `kind`, otherwise valid, is `value`."""

    name: str
    kind: Literal["BufferCluster", "BufferNode"]
    half: Literal["metadata", "spec", "status"]
    value: dict[str, Any]
    path: str
    sentence: str

    @property
    def object(self) -> dict[str, Any]:
        """The whole object, under a name that is fine unless the name is the point."""
        body: dict[str, Any] = {"apiVersion": "sentinel.io/v1alpha1", "kind": self.kind, "metadata": {"name": "bad"}}
        if self.kind == "BufferNode":
            body["spec"] = NODE_SPEC
        else:
            body["metadata"]["namespace"] = "default"
            body["spec"] = {}
        if self.half == "metadata":
            body["metadata"] |= self.value
        else:
            body[self.half] = self.value
        return body


def _cluster(name: str, spec: dict[str, Any], path: str, sentence: str) -> Refused:
    return Refused(name, "BufferCluster", "spec", spec, path, sentence)


def _class(name: str, change: dict[str, Any], path: str, sentence: str) -> Refused:
    """A cluster with one traffic class, changed; None takes a field away."""
    merged = {"name": "web", "match": MATCH} | change
    one = {key: value for key, value in merged.items() if value is not None}
    where = f"spec.trafficClasses[0]{path}"
    return _cluster(f"class: {name}", {"trafficClasses": [one]}, where, sentence)


def _match(name: str, match: dict[str, Any], path: str, sentence: str) -> Refused:
    return _class(name, {"match": [match]}, f".match[0]{path}", sentence)


def _scaling(name: str, scaling: dict[str, Any], path: str, sentence: str) -> Refused:
    return _cluster(f"scaling: {name}", {"scaling": scaling}, f"spec.scaling{path}", sentence)


def _balancer(name: str, balancer: dict[str, Any], path: str, sentence: str) -> Refused:
    return _cluster(f"balancer: {name}", {"loadBalancer": balancer}, f"spec.loadBalancer{path}", sentence)


def _bgp(name: str, change: dict[str, Any], path: str, sentence: str) -> Refused:
    merged = {"localAsn": 65000, "peers": [{"address": "192.0.2.1", "asn": 65001}]} | change
    bgp = {key: value for key, value in merged.items() if value is not None}
    return _balancer(name, {"announce": {"mode": "BGP", "bgp": bgp}}, f".announce.bgp{path}", sentence)


def _agent(name: str, agent: dict[str, Any], path: str, sentence: str) -> Refused:
    return _cluster(f"agent: {name}", {"agent": agent}, f"spec.agent{path}", sentence)


def _plane(name: str, plane: dict[str, Any], path: str, sentence: str) -> Refused:
    return _cluster(f"data plane: {name}", {"dataPlane": plane}, f"spec.dataPlane{path}", sentence)


def _node(name: str, change: dict[str, Any], path: str, sentence: str) -> Refused:
    merged = NODE_SPEC | change
    spec = {key: value for key, value in merged.items() if value is not None}
    return Refused(f"node: {name}", "BufferNode", "spec", spec, f"spec{path}", sentence)


def _report(name: str, status: dict[str, Any], path: str, sentence: str) -> Refused:
    return Refused(f"report: {name}", "BufferNode", "status", status, f"status{path}", sentence)


def _answer(name: str, status: dict[str, Any], path: str, sentence: str) -> Refused:
    return Refused(f"answer: {name}", "BufferCluster", "status", status, f"status{path}", sentence)


def _named(name: str, metadata_name: str) -> Refused:
    sentence = "metadata.name must be at most 40 lower-case letters, digits and hyphens"
    return Refused(f"name: {name}", "BufferCluster", "metadata", {"name": metadata_name}, "", sentence)


def _condition(**change: Any) -> dict[str, Any]:
    merged = {"type": "Ready", "status": "True", "reason": "Working", "lastTransitionTime": WHEN} | change
    return {"conditions": [{key: value for key, value in merged.items() if value is not None}]}


CLUSTERS = (
    _cluster("nodes below zero", {"nodes": -1}, "spec.nodes", "should be greater than or equal to 0"),
    _cluster("nodes beyond any cluster", {"nodes": 5001}, "spec.nodes", "should be less than or equal to 5000"),
    _cluster("nodes as text", {"nodes": "3"}, "spec.nodes", "must be of type integer"),
    _cluster("nodes as fraction", {"nodes": 2.5}, "spec.nodes", "must be of type integer"),
    _cluster("nodes as truth", {"nodes": True}, "spec.nodes", "must be of type integer"),
    _cluster("nodes above scaling.max", {"nodes": 101}, "spec", "nodes must not exceed scaling.max"),
    _cluster(
        "nodes below scaling.min",
        {"nodes": 2, "scaling": {"mode": "Auto"}},
        "spec",
        "nodes must not be below scaling.min while scaling.mode is ScaleOutOnly or Auto",
    ),
    _cluster("paused as text", {"paused": "yes"}, "spec.paused", "must be of type boolean"),
    _cluster("paused as number", {"paused": 1}, "spec.paused", "must be of type boolean"),
    _cluster("fail closed", {"failurePolicy": "FailClosed"}, "spec.failurePolicy", 'supported values: "FailOpen"'),
    _cluster(
        "unknown deletion policy",
        {"deletionPolicy": "Delete"},
        "spec.deletionPolicy",
        'supported values: "Detach", "Orphan"',
    ),
    _cluster("pool upside down", {"pool": {"minBytes": 1 << 24}}, "spec.pool", "minBytes must not exceed maxBytes"),
    _cluster("pool too small", {"pool": {"minBytes": 100}}, "spec.pool.minBytes", "greater than or equal to 65536"),
    _cluster(
        "pool too large", {"pool": {"maxBytes": 1 << 33}}, "spec.pool.maxBytes", "less than or equal to 4294967296"
    ),
    _cluster("pool as number", {"pool": 10}, "spec.pool", "must be of type object"),
    _cluster("pool as list", {"pool": []}, "spec.pool", "must be of type object"),
    _cluster(
        "two classes of one name",
        {"trafficClasses": [{"name": "a", "match": MATCH}, {"name": "a", "match": [{"dscp": 1}]}]},
        "spec",
        "each traffic class needs a name of its own",
    ),
    _cluster(
        "sixteen classes",
        {"trafficClasses": [{"name": f"c{i}", "match": MATCH} for i in range(16)]},
        "spec.trafficClasses",
        "must have at most 15 items",
    ),
    _cluster("classes as object", {"trafficClasses": {}}, "spec.trafficClasses", "must be of type array"),
    _cluster("class as text", {"trafficClasses": ["web"]}, "spec.trafficClasses[0]", "must be of type object"),
    _cluster(
        "own floors beyond the pool",
        {"trafficClasses": [{"name": "a", "match": MATCH, "floorBytes": 11_000_000}]},
        "spec",
        "the floors of all traffic classes together must fit into pool.maxBytes",
    ),
    _cluster(
        "profile floors beyond the pool",
        {
            "pool": {"minBytes": 65_536, "maxBytes": 65_536},
            "trafficClasses": [{"name": f"db{i}", "profile": "database", "match": MATCH} for i in range(3)],
        },
        "spec",
        "the floors of all traffic classes together must fit into pool.maxBytes",
    ),
    _cluster(
        "ceiling beyond the pool",
        {"trafficClasses": [{"name": "a", "match": MATCH, "ceilingBytes": 11_000_000}]},
        "spec",
        "no ceilingBytes may exceed pool.maxBytes",
    ),
    _cluster(
        "no writes at all",
        {"reporting": {"maxWritesPerSecond": 0}},
        "spec.reporting.maxWritesPerSecond",
        "should be greater than or equal to 1",
    ),
    _named("too long", "a" * 41),
    _named("begins with a digit", "1front"),
    _named("with a dot", "front.one"),
)

CLASSES = (
    _class("nameless", {"name": None}, ".name", "Required value"),
    _class("matches nothing", {"match": []}, ".match", "should have at least 1 items"),
    _class("without match", {"match": None}, ".match", "Required value"),
    _class("65 rules", {"match": [{"dscp": 1}] * 65}, ".match", "must have at most 64 items"),
    _class("capitals in its name", {"name": "Web"}, ".name", "should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'"),
    _class("empty name", {"name": ""}, ".name", "should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'"),
    _class("name with a line break", {"name": "web\n"}, ".name", "should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'"),
    _class("name too long", {"name": "a" * 32}, ".name", "may not be more than 31 bytes"),
    _class(
        "unknown profile",
        {"profile": "video"},
        ".profile",
        'supported values: "cache", "database", "llm", "network", "telemetry"',
    ),
    _class("priority beyond 7", {"priority": 8}, ".priority", "should be less than or equal to 7"),
    _class("no delay allowed", {"maxDelayMillis": 0}, ".maxDelayMillis", "should be greater than or equal to 1"),
    _class("a minute's delay", {"maxDelayMillis": 60_000}, ".maxDelayMillis", "should be less than or equal to 10000"),
    _class("floor below a packet", {"floorBytes": 100}, ".floorBytes", "should be greater than or equal to 1514"),
    _class(
        "floor above ceiling",
        {"floorBytes": 9000, "ceilingBytes": 8000},
        "",
        "floorBytes (here or from the profile) must not exceed ceilingBytes",
    ),
    _class(
        "ceiling below the profile's floor",
        {"profile": "llm", "ceilingBytes": 20_000},
        "",
        "floorBytes (here or from the profile) must not exceed ceilingBytes",
    ),
    _class("weightless", {"weight": 0}, ".weight", "should be greater than or equal to 1"),
    _class("free drops", {"dropCost": 0}, ".dropCost", "should be greater than or equal to 1"),
    _match("says nothing", {}, "", "a match needs at least one of port, cidr and dscp"),
    _match("only a protocol", {"protocol": "TCP"}, "", "a match needs at least one of port, cidr and dscp"),
    _match("port 0", {"port": 0}, ".port", "should be greater than or equal to 1"),
    _match("port 65536", {"port": 65_536}, ".port", "should be less than or equal to 65535"),
    _match("port by name", {"port": "https"}, ".port", "must be of type integer"),
    _match("end without port", {"endPort": 90, "dscp": 1}, "", "endPort needs port: together they are a range"),
    _match("ports backwards", {"port": 90, "endPort": 80}, "", "endPort must not be below port"),
    _match("dscp 64", {"dscp": 64}, ".dscp", "should be less than or equal to 63"),
    _match("unknown protocol", {"port": 1, "protocol": "tcp"}, ".protocol", 'supported values: "Any", "TCP", "UDP"'),
    _match("address without length", {"cidr": "10.0.0.1"}, "", "cidr must be a range such as 10.0.0.0/8"),
    _match("leading zero", {"cidr": "010.0.0.0/8"}, "", "cidr must be a range such as 10.0.0.0/8"),
    _match("33 bits", {"cidr": "10.0.0.0/33"}, "", "cidr must be a range such as 10.0.0.0/8"),
    _match("mask instead of length", {"cidr": "10.0.0.0/255.0.0.0"}, "", "cidr must be a range such as 10.0.0.0/8"),
    _match("mapped address", {"cidr": "::ffff:10.0.0.0/104"}, "", "cidr must be a range such as 10.0.0.0/8"),
    _match("address with zone", {"cidr": "fe80::%eth0/64"}, "", "cidr must be a range such as 10.0.0.0/8"),
    _match("text beyond any range", {"cidr": "1" * 44}, ".cidr", "may not be more than 43 bytes"),
)

PARTS = (
    _plane("unknown mode", {"mode": "On"}, ".mode", 'supported values: "Auto", "Enforce", "Observe"'),
    _plane(
        "enforcing nothing", {"mode": "Enforce"}, "", "mode Enforce needs interfaces, each with a rateBitsPerSecond"
    ),
    _plane(
        "enforcing without a rate",
        {"mode": "Enforce", "interfaces": [{"name": "eth0"}]},
        "",
        "mode Enforce needs interfaces, each with a rateBitsPerSecond",
    ),
    _plane(
        "one device twice",
        {"interfaces": [{"name": "eth0"}, {"name": "eth0", "direction": "Ingress"}]},
        "",
        "each name and direction may appear once in interfaces",
    ),
    _plane("nine devices", {"interfaces": [{"name": f"e{i}"} for i in range(9)]}, ".interfaces", "must have at most 8"),
    _plane(
        "device with a slash", {"interfaces": [{"name": "a/b"}]}, ".interfaces[0].name", "should match '^[^/:\\s]*$'"
    ),
    _plane("long device", {"interfaces": [{"name": "a" * 16}]}, ".interfaces[0].name", "may not be more than 15 bytes"),
    _plane(
        "unknown direction",
        {"interfaces": [{"direction": "Both"}]},
        ".interfaces[0].direction",
        'supported values: "Ingress", "Egress"',
    ),
    _plane(
        "rate of nothing",
        {"interfaces": [{"rateBitsPerSecond": 0}]},
        ".interfaces[0].rateBitsPerSecond",
        "should be greater than or equal to 1000000",
    ),
    _plane("too few flows", {"maxFlows": 1}, ".maxFlows", "should be greater than or equal to 1024"),
    _plane("too many flows", {"maxFlows": 1 << 21}, ".maxFlows", "should be less than or equal to 1048576"),
    _plane("unknown exit", {"onAgentExit": "Drop"}, ".onAgentExit", 'supported values: "Keep", "Detach"'),
    _agent("no CPU", {"resources": {"cpuMillis": 0}}, ".resources.cpuMillis", "should be greater than or equal to 50"),
    _agent(
        "no memory",
        {"resources": {"memoryBytes": 1024}},
        ".resources.memoryBytes",
        "should be greater than or equal to 134217728",
    ),
    _agent("image with a blank", {"image": "a b"}, ".image", "should match '^[^\\s]*$'"),
    _agent("privileged port", {"metricsPort": 80}, ".metricsPort", "should be greater than or equal to 1024"),
    _agent("label of blanks", {"nodeSelector": {"a": "b c"}}, ".nodeSelector.a", "should match"),
    _agent("label as number", {"nodeSelector": {"a": 1}}, ".nodeSelector.a", "must be of type string"),
    _agent(
        "seventeen labels",
        {"nodeSelector": {f"k{i}": "v" for i in range(17)}},
        ".nodeSelector",
        "must have at most 16 ",
    ),
    _agent(
        "value beside Exists",
        {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
        ".tolerations[0]",
        "operator Exists takes no value",
    ),
    _agent(
        "toleration of nothing",
        {"tolerations": [{"effect": "NoSchedule"}]},
        ".tolerations[0]",
        "a toleration without key needs operator Exists",
    ),
    _agent("unknown log level", {"logLevel": "Trace"}, ".logLevel", "supported values: "),
    _agent(
        "everything at once, and more",
        {"updateStrategy": {"maxUnavailablePercent": 101}},
        ".updateStrategy.maxUnavailablePercent",
        "should be less than or equal to 100",
    ),
    _cluster(
        "model: unknown scheme",
        {"model": {"ref": "https://example.com/m.onnx"}},
        "spec.model.ref",
        "should match '^(builtin:",
    ),
    _cluster(
        "model: mounted without digest",
        {"model": {"ref": "/models/a.onnx"}},
        "spec.model",
        "a mounted model needs its digest: set model.digest to sha256:… of the file",
    ),
    _cluster(
        "model: digest of another kind",
        {"model": {"digest": "md5:00"}},
        "spec.model.digest",
        "should match '^sha256:[0-9a-f]{64}$'",
    ),
    _cluster(
        "model: gate upside down",
        {"model": {"gate": {"openAbovePercent": 40}}},
        "spec.model.gate",
        "closeBelowPercent must not exceed openAbovePercent, or the gate would flap",
    ),
    _cluster(
        "model: unknown fallback",
        {"model": {"fallback": "Panic"}},
        "spec.model.fallback",
        'supported values: "Smoothing", "Reactive"',
    ),
)

BALANCERS = (
    _balancer("33 of them", {"replicas": 33}, ".replicas", "should be less than or equal to 32"),
    _balancer("pool of one address", {"addressPool": ["192.0.2.1"]}, "", "addressPool holds ranges such as"),
    _balancer("pool of words", {"addressPool": ["office"]}, "", "addressPool holds ranges such as"),
    _balancer(
        "one range twice",
        {"addressPool": ["192.0.2.0/24", "192.0.2.0/24"]},
        "",
        "each range may appear once in addressPool",
    ),
    _balancer("unknown announcement", {"announce": {"mode": "OSPF"}}, ".announce.mode", "supported values: "),
    _balancer("BGP without bgp", {"announce": {"mode": "BGP"}}, ".announce", "mode BGP needs bgp"),
    _balancer(
        "bgp without BGP",
        {"announce": {"bgp": {"localAsn": 1, "peers": [{"address": "192.0.2.1", "asn": 1}]}}},
        ".announce",
        "bgp is used in mode BGP only",
    ),
    _balancer(
        "unknown encapsulation", {"encapsulation": "GRE"}, ".encapsulation", 'supported values: "IPIP", "UDP", "None"'
    ),
    _balancer("probing too often", {"probeIntervalMillis": 1}, ".probeIntervalMillis", "greater than or equal to 20"),
    _bgp("bgp without peers", {"peers": []}, ".peers", "should have at least 1 items"),
    _bgp("bgp without own number", {"localAsn": None}, ".localAsn", "Required value"),
    _bgp("AS 0", {"localAsn": 0}, ".localAsn", "should be greater than or equal to 1"),
    _bgp("peer by name", {"peers": [{"address": "router", "asn": 1}]}, ".peers[0]", "address must be an IPv4 or IPv6"),
    _bgp(
        "peer with length", {"peers": [{"address": "192.0.2.1/32", "asn": 1}]}, ".peers[0]", "address must be an IPv4"
    ),
    _bgp(
        "one peer twice",
        {"peers": [{"address": "192.0.2.1", "asn": 1}, {"address": "192.0.2.1", "asn": 2}]},
        "",
        "each peer address may appear once",
    ),
    _bgp(
        "community of words",
        {"communities": ["blackhole"]},
        ".communities[0]",
        "should match '^[0-9]{1,5}:[0-9]{1,5}$'",
    ),
    _bgp(
        "BFD too fast",
        {"peers": [{"address": "192.0.2.1", "asn": 1, "bfd": {"intervalMillis": 5}}]},
        ".peers[0].bfd.intervalMillis",
        "should be greater than or equal to 10",
    ),
)

SCALING = (
    _scaling("unknown mode", {"mode": "On"}, ".mode", 'supported values: "Off", "Recommend", "ScaleOutOnly", "Auto"'),
    _scaling("upside down", {"min": 9, "max": 8}, "", "scaling.min must not exceed scaling.max"),
    _scaling("down to nothing", {"min": 0}, ".min", "should be greater than or equal to 1"),
    _scaling("every instant", {"intervalSeconds": 0}, ".intervalSeconds", "should be greater than or equal to 1"),
    _scaling("negative headroom", {"headroomPercent": -5}, ".headroomPercent", "should be greater than or equal to 0"),
    _scaling(
        "coverage of 110 %", {"coverage": {"minPercent": 110}}, ".coverage.minPercent", "less than or equal to 100"
    ),
    _scaling("no lead time", {"leadTimeSeconds": 0}, ".leadTimeSeconds", "should be greater than or equal to 1"),
    _scaling(
        "nodes that carry nothing",
        {"nodeCapacityBytesPerSecond": 0},
        ".nodeCapacityBytesPerSecond",
        "should be greater than or equal to 125000",
    ),
    _scaling("driver by name", {"driver": "NodeLabel"}, ".driver", "must be of type object"),
    _scaling("unknown driver", {"driver": {"type": "Magic"}}, ".driver.type", "supported values: "),
    _scaling("no target", {"driver": {"type": "ScaleSubresource"}}, ".driver", "driver ScaleSubresource needs target"),
    _scaling(
        "needless target",
        {"driver": {"target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}}},
        ".driver",
        "target is used by driver ScaleSubresource only",
    ),
    _scaling(
        "target without a version",
        {"driver": {"type": "ScaleSubresource", "target": {"apiVersion": "apps", "kind": "Deployment", "name": "a"}}},
        ".driver.target.apiVersion",
        "should match",
    ),
    _scaling(
        "target without a name",
        {"driver": {"type": "ScaleSubresource", "target": {"apiVersion": "v1", "kind": "Pod", "name": ""}}},
        ".driver.target.name",
        "should be at least 1 chars long",
    ),
)

NODES = (
    _node("without cluster", {"clusterRef": None}, ".clusterRef", "Required value"),
    _node("cluster by name", {"clusterRef": "front"}, ".clusterRef", "must be of type object"),
    _node("cluster without namespace", {"clusterRef": {"name": "a"}}, ".clusterRef.namespace", "Required value"),
    _node("without configuration", {"configDigest": None}, ".configDigest", "Required value"),
    _node("digest in capitals", {"configDigest": DIGEST.upper()}, ".configDigest", "should match '^sha256:"),
    _node(
        "unknown state", {"desiredState": "Off"}, ".desiredState", 'supported values: "Active", "Draining", "Detached"'
    ),
    _node("reporting too often", {"reportSeconds": 1}, ".reportSeconds", "should be greater than or equal to 10"),
)

STATUSES = (
    _report(
        "tier D", {"dataPlane": {"tier": "D", "reason": "X"}}, ".dataPlane.tier", 'supported values: "A", "B", "C"'
    ),
    _report("tier without reason", {"dataPlane": {"tier": "A"}}, ".dataPlane.reason", "Required value"),
    _report(
        "reason with blanks", {"dataPlane": {"tier": "A", "reason": "no rate"}}, ".dataPlane.reason", "should match"
    ),
    _report(
        "five points",
        {
            "forecast": {
                "seq": 1,
                "observedAt": WHEN,
                "demandBytesPerSecond": 1,
                "points": [{"horizonSeconds": 30, "p50": 1, "p95": 2}] * 5,
            }
        },
        ".forecast.points",
        "must have at most 4 items",
    ),
    _report(
        "negative demand",
        {"forecast": {"seq": 1, "observedAt": WHEN, "demandBytesPerSecond": -1}},
        ".forecast.demandBytesPerSecond",
        "should be greater than or equal to 0",
    ),
    _report("precision of 101 %", {"scores": {"precisionPercent": 101}}, ".scores.precisionPercent", "equal to 100"),
    _report("a novel", _condition(message="x" * 65), ".conditions[0].message", "may not be more than 64 bytes"),
    _answer("condition without reason", _condition(reason=None), ".conditions[0].reason", "Required value"),
    _answer("status maybe", _condition(status="Maybe"), ".conditions[0].status", 'supported values: "True", "False"'),
    _answer("type with blanks", _condition(type="is ready"), ".conditions[0].type", "should match"),
    _answer("class id 16", {"classIds": {"web": 16}}, ".classIds.web", "should be less than or equal to 15"),
    _answer("class id 0", {"classIds": {"web": 0}}, ".classIds.web", "should be greater than or equal to 1"),
    _answer("coverage of 101 %", {"coveragePercent": 101}, ".coveragePercent", "should be less than or equal to 100"),
)

REFUSED = (*CLUSTERS, *CLASSES, *PARTS, *BALANCERS, *SCALING, *NODES, *STATUSES)
