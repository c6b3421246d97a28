"""What the agents of nodes tell that somebody should hear."""

from monitoring.rules import Alert, Case, both

NODE = 'instance="n1:9465",job="agent"'
OTHER = 'instance="n2:9465",job="agent"'
ONE = ({"instance": "n1:9465", "job": "agent"},)
FLOW = f'{NODE},interface="eth0",class="gold"'
GOLD = ({"instance": "n1:9465", "job": "agent", "interface": "eth0", "class": "gold"},)

NODES = (
    Alert(
        "SentinelAgentSilent",
        "up == 0 and on (instance, job) count_over_time(sentinel_ticks_total[1h])",
        2,
        "critical",
        "The agent at {{ $labels.instance }} does not answer any more.",
        "It is dead, frozen or cut off. Its orders have a lease of half a second: packets pass as they would without "
        "Sentinel, but nothing is predicted, and no limit follows the traffic.",
        (
            "`kubectl get pod -o wide` and `kubectl describe pod`: does it restart, and with which last words?",
            "Does the node answer at all? If its balancer says *dead* too (SentinelBackendDead), look at the node.",
            "A process in state T or D (`ps -o stat,wchan`) hangs: delete the pod; pins stay for its successor.",
        ),
        (
            Case({f"up{{{NODE}}}": "1x3 0x9", f"sentinel_ticks_total{{{NODE}}}": "0+600x3 _x9"}, 8, ONE),
            Case({f"up{{{NODE}}}": "1x12", f"sentinel_ticks_total{{{NODE}}}": "0+600x12"}, 8),
            Case({'up{instance="db:9100",job="node"}': "0x12", f"sentinel_ticks_total{{{NODE}}}": "0+600x12"}, 8),
        ),
    ),
    Alert(
        "SentinelAgentStuck",
        "rate(sentinel_ticks_total[2m]) == 0 or"
        " (up == 1 and on (instance, job) count_over_time(sentinel_ticks_total[1h])"
        " unless on (instance, job) sentinel_ticks_total)",
        1,
        "critical",
        "The agent at {{ $labels.instance }} answers, but its loop stands still.",
        "It hangs, or none of its interfaces is there any more. Orders have a lease of half a second, so that the node "
        "runs with its static limits: no packet is lost by it, but nothing is predicted either. The liveness probe "
        "restarts an agent whose tick makes no progress.",
        (
            "`kubectl logs` of the agent's pod on that node: `nothing_to_steer`, or the stage that hangs.",
            "`kubectl sentinel report` keeps the state for the people who mend it.",
            "Delete the pod: pins stay, and its successor takes over without losing a packet.",
        ),
        (
            Case({f"sentinel_ticks_total{{{NODE}}}": "5x9"}, 6, ONE),
            Case({f"sentinel_ticks_total{{{NODE}}}": "0+600x3 stale", f"up{{{NODE}}}": "1x9"}, 6, ONE),
            Case({f"sentinel_ticks_total{{{NODE}}}": "0+600x9", f"up{{{NODE}}}": "1x9"}, 6),
            Case({f"sentinel_ticks_total{{{NODE}}}": "0+600x3 stale", f"up{{{NODE}}}": "0x9"}, 6),
        ),
    ),
    Alert(
        "SentinelTicksMissed",
        "rate(sentinel_ticks_missed_total[5m])"
        " / (rate(sentinel_ticks_total[5m]) + rate(sentinel_ticks_missed_total[5m])) > 0.05",
        5,
        "warning",
        "The agent at {{ $labels.instance }} skips {{ $value | humanizePercentage }} of its ticks.",
        "A tick comes every 100 ms; one that cannot start in time is skipped and counted. Above one in twenty, room "
        "may come too late for the shortest bursts. Nearly always the node has too little CPU.",
        (
            "Look at the row *Tick* of the dashboard *Node*: a stage that grew names the cause.",
            "Raise the CPU request of the agents (`spec.agent.resources` of the BufferCluster), or load off the node.",
        ),
        both(
            {f"sentinel_ticks_total{{{NODE}}}": "0+500x20", f"sentinel_ticks_missed_total{{{NODE}}}": "0+100x20"},
            {f"sentinel_ticks_total{{{NODE}}}": "0+599x20", f"sentinel_ticks_missed_total{{{NODE}}}": "0+1x20"},
            15,
            ONE,
        ),
    ),
    Alert(
        "SentinelTickFails",
        "rate(sentinel_ticks_failed_total[5m]) > 0.1",
        5,
        "warning",
        "Ticks of the agent at {{ $labels.instance }} end with errors.",
        "A tick that fails ends there; the orders of the one before hold until their lease ends, then static limits.",
        (
            "`kubectl logs` of the agent's pod: each kind of error is told once, with its cause.",
            "`/debug/state` on the node (127.0.0.1:9466) shows the last good tick.",
        ),
        both(
            {f"sentinel_ticks_failed_total{{{NODE}}}": "0+60x20"},
            {f"sentinel_ticks_failed_total{{{NODE}}}": "3x20"},
            15,
            ONE,
        ),
    ),
    Alert(
        "SentinelNodeOnlyObserves",
        "sentinel_interface_steered == 0",
        10,
        "info",
        "{{ $labels.interface }} of {{ $labels.instance }} is observed, not steered.",
        "Tier C: traffic passes as it would without Sentinel. Either observing was asked for, or the node lacks what "
        "the other tiers need.",
        (
            "`kubectl sentinel status` names the reason in the column TIER; `sentinel doctor` on the node has details.",
            "A program of somebody else at the interface is never replaced: remove it, or choose another interface.",
        ),
        both(
            {f'sentinel_interface_steered{{{NODE},interface="eth0"}}': "0x20"},
            {f'sentinel_interface_steered{{{NODE},interface="eth0"}}': "1x20"},
            15,
            ({"instance": "n1:9465", "job": "agent", "interface": "eth0"},),
        ),
    ),
    Alert(
        "SentinelClassDrops",
        "rate(sentinel_class_drops_total[5m]) / rate(sentinel_class_packets_total[5m]) > 0.001",
        5,
        "warning",
        "{{ $labels.instance }} drops {{ $value | humanizePercentage }} of {{ $labels.class }}.",
        "More than one packet in a thousand of a class found no room for five minutes. That is either a burst larger "
        "than the pool, or an overload that lasts and that no buffer can absorb.",
        (
            "Dashboard *Node*: is the pool granted? Then `spec.pool.maxBytes` or a class's cap is too small.",
            "Is the drain rate below the demand for minutes? Then only more nodes help: see *Scaling* in *Cluster*.",
            "Does the drop come before the room? Then the forecast was late: see *Forecast quality*.",
        ),
        both(
            {
                f"sentinel_class_drops_total{{{FLOW}}}": "0+60x20",
                f"sentinel_class_packets_total{{{FLOW}}}": "0+6000x20",
            },
            {f"sentinel_class_drops_total{{{FLOW}}}": "0+1x20", f"sentinel_class_packets_total{{{FLOW}}}": "0+6000x20"},
            15,
            GOLD,
        ),
    ),
    Alert(
        "SentinelPoolExhausted",
        'sentinel_pool_bytes{part="granted"} / ignoring(part) sentinel_pool_bytes{part="total"} > 0.98',
        15,
        "warning",
        "The pool of {{ $labels.instance }} is given away.",
        "Nearly all memory for queues is granted, so that the next burst gets only what others give back.",
        (
            "Dashboard *Node* shows which class holds it, and how much of it is really used (`held`).",
            "Lower the cap or the weight of a class that never uses its room, or raise `spec.pool.maxBytes`.",
        ),
        both(
            {
                f'sentinel_pool_bytes{{{NODE},part="granted"}}': "99x30",
                f'sentinel_pool_bytes{{{NODE},part="total"}}': "100x30",
            },
            {
                f'sentinel_pool_bytes{{{NODE},part="granted"}}': "50x30",
                f'sentinel_pool_bytes{{{NODE},part="total"}}': "100x30",
            },
            20,
            ONE,
        ),
    ),
    Alert(
        "SentinelForecastFallsBack",
        "sentinel_forecast_by_model == 0",
        10,
        "warning",
        "The model of {{ $labels.instance }} does not answer for {{ $labels.interface }}.",
        "It is missing, refused, too slow or answers with what is no number; the learners and the reactive rule act "
        "meanwhile.",
        (
            "The condition ModelReady of the node's BufferNode tells which: `kubectl describe bufn NAME`.",
            "A digest that does not match: give the cluster the model that its card names, or leave `model` out.",
            "Too slow: the node has too little CPU; see SentinelTicksMissed.",
        ),
        both(
            {f'sentinel_forecast_by_model{{{NODE},interface="eth0"}}': "0x30"},
            {f'sentinel_forecast_by_model{{{NODE},interface="eth0"}}': "1x30"},
            20,
            ({**ONE[0], "interface": "eth0"},),
        ),
    ),
    Alert(
        "SentinelFlowTableFull",
        "rate(sentinel_interface_flows_evicted_total[5m]) > 100",
        10,
        "info",
        "{{ $labels.interface }} of {{ $labels.instance }} forgets {{ $value | humanize }} flows a second.",
        "The flow table is too small for the flows that are alive, or a flood makes new ones. Packets are not "
        "affected; figures by flow get worse.",
        (
            "Raise `spec.dataPlane.maxFlows` in the BufferCluster (a million take about 300 MB).",
            "Dashboard *Node*, SYNs against flows: many SYNs with few bytes are a flood.",
        ),
        both(
            {f'sentinel_interface_flows_evicted_total{{{NODE},interface="eth0"}}': "0+60000x30"},
            {f'sentinel_interface_flows_evicted_total{{{NODE},interface="eth0"}}': "0+60x30"},
            20,
            ({"instance": "n1:9465", "job": "agent", "interface": "eth0"},),
        ),
    ),
    Alert(
        "SentinelMeshAlone",
        'sentinel_mesh_members{level="alive"} == 0 and max_over_time(sentinel_mesh_members{level="alive"}[1h]) > 0'
        ' and on () count(sentinel_mesh_members{level="alive"}) > 1',
        5,
        "warning",
        "{{ $labels.instance }} hears no other node any more.",
        "The agent answers, so do others, and its mesh is silent: it is cut off, or the others refuse it. It steers on "
        "by what it sees itself; nobody warns it, and balancers choose it by the ring alone.",
        (
            "Is port 7447 open between the nodes? `ss -tn sport = :7447` there shows who is connected.",
            "Its certificate: see SentinelMeshCertificateStale. Its log names the cause (`mesh_certificate_missing`).",
        ),
        both(
            {
                f'sentinel_mesh_members{{{NODE},level="alive"}}': "1 1 0x20",
                f'sentinel_mesh_members{{{OTHER},level="alive"}}': "1x22",
            },
            {f'sentinel_mesh_members{{{NODE},level="alive"}}': "1 1 0x20"},
            15,
            ({**ONE[0], "level": "alive"},),
        ),
    ),
    Alert(
        "SentinelMeshRefuses",
        "sum by (instance, reason) (rate(sentinel_mesh_refused_total[5m])) > 0.1",
        10,
        "warning",
        "{{ $labels.instance }} refuses records of the mesh: {{ $labels.reason }}.",
        "Somebody sends what is not believed: a node of another version, a clock of another time, or a stranger.",
        (
            "The agent's log names the sender and the reason, sampled.",
            "After an upgrade: are all agents of one or of two neighbouring versions?",
            "A stranger: see the how-to on securing the mesh; a node may speak only under its own key.",
        ),
        both(
            {f'sentinel_mesh_refused_total{{{NODE},reason="stale"}}': "0+60x30"},
            {f'sentinel_mesh_refused_total{{{NODE},reason="stale"}}': "3x30"},
            20,
            ({"instance": "n1:9465", "reason": "stale"},),
        ),
    ),
    Alert(
        "SentinelMeshCertificateStale",
        "sentinel_mesh_certificate_stale == 1",
        10,
        "critical",
        "{{ $labels.instance }} has a new mesh certificate that it cannot use.",
        "The old one works until it ends; then the node falls silent in the mesh and is taken for headless.",
        (
            "The agent's log says why: wrong authority, key and certificate of different pairs, or unreadable files.",
            "The how-to on securing the mesh shows how to make them anew.",
        ),
        both(
            {f"sentinel_mesh_certificate_stale{{{NODE}}}": "1x20"},
            {f"sentinel_mesh_certificate_stale{{{NODE}}}": "0x20"},
            15,
            ONE,
        ),
    ),
    Alert(
        "SentinelMeshCertificateEnds",
        "sentinel_mesh_certificate_left < 0.2",
        10,
        "critical",
        "The mesh certificate of {{ $labels.instance }} has {{ $value | humanizePercentage }} of its life left.",
        "A third of its life before the end a new one is asked for, and none came. When it ends, the node falls silent "
        "in the mesh and is taken for headless.",
        (
            "Does the operator run and lead (SentinelOperatorAbsent)? It is who signs.",
            "The agent's log says why it got none (`mesh_certificate_missing`): refused, or nobody answered.",
            "Certificates that others bring, as cert-manager does: ask them.",
        ),
        both(
            {f"sentinel_mesh_certificate_left{{{NODE}}}": "0.1x20"},
            {f"sentinel_mesh_certificate_left{{{NODE}}}": "0.5x20"},
            15,
            ONE,
        ),
    ),
)
