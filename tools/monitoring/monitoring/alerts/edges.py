"""What balancers and the operator tell that somebody should hear."""

from monitoring.rules import Alert, Case, both

LB = 'instance="e1:9467",job="balancer"'
OP = 'instance="o1:8080",job="operator"'
CLUSTER = 'namespace="shop",cluster="front"'
FRONT = ({"namespace": "shop", "cluster": "front"},)

E1 = ({"instance": "e1:9467"},)
E1_JOB = ({"instance": "e1:9467", "job": "balancer"},)

BALANCERS = (
    Alert(
        "SentinelBalancerSilent",
        "up == 0 and on (instance, job) count_over_time(sentinel_lb_ticks_total[1h])",
        2,
        "critical",
        "The balancer at {{ $labels.instance }} does not answer any more.",
        "Packets go on with the last table while the kernel's program is there; addresses that it announced by ARP or "
        "BGP move to another balancer. Without another one, nobody notices a dead node now.",
        (
            "`kubectl get pod -o wide` and `kubectl describe pod`: does it restart, and with which last words?",
            "Did the addresses move? `sentinel_lb_announced_addresses` of the other balancers, or the router's table.",
        ),
        (
            Case({f"up{{{LB}}}": "1x3 0x9", f"sentinel_lb_ticks_total{{{LB}}}": "0+600x3 _x9"}, 8, E1_JOB),
            Case({f"up{{{LB}}}": "1x12", f"sentinel_lb_ticks_total{{{LB}}}": "0+600x12"}, 8),
        ),
    ),
    Alert(
        "SentinelNoBackendReady",
        '(sum by (instance) (sentinel_lb_backend_state{state=~"ready|busy"})'
        " or sum by (instance) (0 * sentinel_lb_ticks_total)) == 0",
        1,
        "critical",
        "{{ $labels.instance }} knows no node that takes new flows.",
        "Known flows go on where they live; new ones are spread over what answers probes, and refused when none does.",
        (
            "`/debug/state` of the balancer (127.0.0.1:9468) has a reason for each node.",
            "None at all: does the BufferCluster choose any node (`kubectl get bufn`)?",
            "All draining: who asked (`kubectl sentinel drain NODE --undo`)? All dead: is the tunnel's way cut?",
        ),
        (
            Case(
                {
                    f'sentinel_lb_backend_state{{{LB},backend="n1",state="ready"}}': "0x9",
                    f'sentinel_lb_backend_state{{{LB},backend="n1",state="dead"}}': "1x9",
                },
                5,
                E1,
            ),
            Case({f"sentinel_lb_ticks_total{{{LB}}}": "0+600x9"}, 5, E1),
            Case(
                {
                    f'sentinel_lb_backend_state{{{LB},backend="n1",state="ready"}}': "1x9",
                    f"sentinel_lb_ticks_total{{{LB}}}": "0+600x9",
                },
                5,
            ),
        ),
    ),
    Alert(
        "SentinelBackendDead",
        'max by (backend) (sentinel_lb_backend_state{state="dead"}) == 1',
        2,
        "warning",
        "No balancer's probes reach {{ $labels.backend }}.",
        "Its flows were moved; where the way behind the node has state, their connections were reset.",
        (
            "Is the node there? `kubectl describe node`.",
            "Is it there: do tunnel packets reach it? The balancer's address must be among its `balancers`.",
        ),
        both(
            {f'sentinel_lb_backend_state{{{LB},backend="n1",state="dead"}}': "1x9"},
            {f'sentinel_lb_backend_state{{{LB},backend="n1",state="dead"}}': "0x9"},
            6,
            ({"backend": "n1"},),
        ),
    ),
    Alert(
        "SentinelBackendSilent",
        'max by (backend) (sentinel_lb_backend_state{state="busy"}) == 1',
        5,
        "warning",
        "A balancer hears nothing fresh of {{ $labels.backend }}, which answers probes.",
        "The node lives and keeps its flows, but nobody knows its room: the agent is dead or hangs, or the mesh is "
        "cut. New flows are spread over such nodes as by plain Maglev.",
        (
            "See SentinelAgentSilent: does the agent run?",
            "It does: is the mesh cut? Port 7447 between the node and the balancer; SentinelMeshRefuses on either.",
        ),
        both(
            {f'sentinel_lb_backend_state{{{LB},backend="n1",state="busy"}}': "1x9"},
            {f'sentinel_lb_backend_state{{{LB},backend="n1",state="busy"}}': "0x9"},
            8,
            ({"backend": "n1"},),
        ),
    ),
    Alert(
        "SentinelBalancerStuck",
        "rate(sentinel_lb_ticks_total[2m]) == 0",
        1,
        "critical",
        "The loop of the balancer at {{ $labels.instance }} stands still.",
        "Packets go on with the last table; the room of nodes ages out, so that flows spread as by plain Maglev.",
        ("`kubectl logs` of the balancer's pod.", "Delete the pod: its successor takes over without losing a packet."),
        both(
            {f"sentinel_lb_ticks_total{{{LB}}}": "5x9"},
            {f"sentinel_lb_ticks_total{{{LB}}}": "0+600x9"},
            6,
            ({"instance": "e1:9467", "job": "balancer"},),
        ),
    ),
    Alert(
        "SentinelVipRefuses",
        "sum by (vip) (rate(sentinel_lb_vip_refused_total[2m])) > 0",
        2,
        "critical",
        "Packets to {{ $labels.vip }} reach no backend.",
        "The balancer found nobody to send them to, or could not send them.",
        (
            "See SentinelNoBackendReady.",
            "Dashboard *Balancer*, reasons: `too_big` means that the path's MTU is too small.",
        ),
        both(
            {f'sentinel_lb_vip_refused_total{{{LB},vip="v1"}}': "0+60x9"},
            {f'sentinel_lb_vip_refused_total{{{LB},vip="v1"}}': "4x9"},
            6,
            ({"vip": "v1"},),
        ),
    ),
)

OPERATOR = (
    Alert(
        "SentinelOperatorAbsent",
        "max(max_over_time(sentinel_operator_leading[1d])) == 1 unless max(sentinel_operator_leading) == 1",
        2,
        "warning",
        "No operator leads.",
        "Agents and balancers go on with what was ordered last, and traffic is not affected; but nothing is scaled, no "
        "Service gets an address, no change is rolled out, and after a while certificates of the mesh run out.",
        (
            "`kubectl get pod,lease -n sentinel-system`: does one of the two replicas run, who holds the Lease?",
            "A replica that runs and does not lead says why in its log (`lease_refused`, `lease_not_written`).",
        ),
        (
            Case({f"sentinel_operator_leading{{{OP}}}": "1x3 stale"}, 8, ({},)),
            Case({f"sentinel_operator_leading{{{OP}}}": "1x3 0x9"}, 8, ({},)),
            Case(
                {
                    f"sentinel_operator_leading{{{OP}}}": "1x3 stale",
                    'sentinel_operator_leading{instance="o2:8080",job="operator"}': "0x3 1x9",
                },
                8,
            ),
        ),
    ),
    Alert(
        "SentinelScalingLimited",
        "sentinel_scaling_required_nodes > sentinel_scaling_target_nodes",
        10,
        "warning",
        "{{ $labels.namespace }}/{{ $labels.cluster }} needs more nodes than it may have.",
        "The forecast calls for more nodes than `scaling.max`, the step limit or the spare nodes allow.",
        (
            "`kubectl sentinel status` says which bound holds it back.",
            "Raise `scaling.max`, or label more spare nodes.",
        ),
        both(
            {
                f"sentinel_scaling_required_nodes{{{CLUSTER}}}": "9x20",
                f"sentinel_scaling_target_nodes{{{CLUSTER}}}": "5x20",
            },
            {
                f"sentinel_scaling_required_nodes{{{CLUSTER}}}": "5x20",
                f"sentinel_scaling_target_nodes{{{CLUSTER}}}": "5x20",
            },
            15,
            FRONT,
        ),
    ),
    Alert(
        "SentinelScalingBlind",
        "sentinel_scaling_coverage_percent < 80",
        5,
        "warning",
        "Only {{ $value }} percent of the nodes of {{ $labels.namespace }}/{{ $labels.cluster }} report.",
        "Below the coverage that the forecast needs, nothing is scaled in, and out only by what is known.",
        ("`kubectl sentinel status`: which nodes are silent?", "See SentinelAgentStuck, and the agents' pods."),
        both(
            {f"sentinel_scaling_coverage_percent{{{CLUSTER}}}": "50x20"},
            {f"sentinel_scaling_coverage_percent{{{CLUSTER}}}": "100x20"},
            15,
            FRONT,
        ),
    ),
    Alert(
        "SentinelOperatorRetries",
        'sum by (outcome) (rate(sentinel_operator_looks_total{outcome!="ok"}[10m])) > 0.005',
        10,
        "warning",
        "Looks of the operator end as {{ $labels.outcome }}.",
        "What it saw or wanted could not be carried out; it tries again with growing pauses. Traffic is not affected.",
        (
            "`kubectl logs` of the operator names the object and the cause.",
            "`kubectl describe bufc NAME`: the conditions say what a person can do.",
        ),
        (
            Case({'sentinel_operator_looks_total{outcome="Transient"}': "0+12x40"}, 25, ({"outcome": "Transient"},)),
            # What stays wrong until a person mends it is tried every two minutes.
            Case({'sentinel_operator_looks_total{outcome="Invalid"}': "0+0.5x40"}, 25, ({"outcome": "Invalid"},)),
            Case({'sentinel_operator_looks_total{outcome="ok"}': "0+6x40"}, 25),
        ),
    ),
)
