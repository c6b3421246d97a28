"""Balancer: where new flows go and why, what is drained, what reaches nobody."""

from monitoring.dashboards.shown import MOST, Dashboard, Row, Shown

AT = 'instance=~"$balancer"'
AWAY = 'state!="ready"'
PLACED = 'reason:sentinel_lb_packets:rate1m{reason=~"by_room|by_ring|by_load|only_one"}'
LOST = 'reason:sentinel_lb_packets:rate1m{reason=~"none_alive|no_way|not_moved|too_big_lost"}'

BALANCER = Dashboard(
    "Balancer",
    "sentinel-balancer",
    choices={"balancer": "label_values(sentinel_lb_ticks_total, instance)"},
    rows=(
        Row(
            "Flows",
            (
                Shown(
                    "New flows by node",
                    f"A second; the {MOST} nodes with most of them.",
                    "short",
                    ((f"topk({MOST}, backend:sentinel_lb_backend_new_flows:rate1m)", "{{backend}}"),),
                    "areas",
                ),
                Shown(
                    "Bytes by node",
                    f"A second, towards the {MOST} nodes with most; answers do not pass the balancer.",
                    "Bps",
                    (
                        (
                            f"topk({MOST}, sum by (backend) "
                            f"(rate(sentinel_lb_backend_bytes_total{{{AT}}}[$__rate_interval])))",
                            "{{backend}}",
                        ),
                    ),
                    "areas",
                ),
                Shown(
                    "Packets by what became of them",
                    "`known` stays where it was; `by_room` went to the candidate with more "
                    "room, `by_ring` to the first.",
                    "pps",
                    (("reason:sentinel_lb_packets:rate1m", "{{reason}}"),),
                    width=24,
                ),
                Shown(
                    "How new flows are placed",
                    "Share, by what decided between the two candidates. `by_room`: more room; `by_ring`: nothing "
                    "fresh was known, so the first; `by_load`: neither had room, so the less loaded; `only_one`: the "
                    "other is gone.",
                    "percentunit",
                    ((f"{PLACED} / ignoring (reason) group_left sum({PLACED})", "{{reason}}"),),
                    "areas",
                    idle="Empty while no flow begins.",
                ),
                Shown(
                    "Drops, by reason",
                    "Packets that reached no node. `none_alive`: nobody to send to; `no_way`: the node has no address; "
                    "`too_big_lost`: too long, and nobody to tell; `not_moved`: no room for the tunnel's header.",
                    "pps",
                    ((LOST, "{{reason}}"),),
                    idle="Empty until the first one.",
                ),
            ),
        ),
        Row(
            "Nodes",
            (
                Shown(
                    "State of nodes",
                    "How many nodes a balancer holds for what.",
                    "short",
                    ((f"sum by (instance, state) (sentinel_lb_backend_state{{{AT}}})", "{{instance}} {{state}}"),),
                ),
                Shown(
                    "Nodes that are not ready",
                    f"Which, and how many balancers say so; {MOST} at most.",
                    "short",
                    (
                        (
                            f"topk({MOST}, sum by (backend, state) (sentinel_lb_backend_state{{{AT},{AWAY}}}) > 0)",
                            "{{backend}} {{state}}",
                        ),
                    ),
                    idle="Empty while all are ready.",
                ),
                Shown(
                    "Refused",
                    "Packets a second that reached no backend.",
                    "pps",
                    ((f"sum by (vip) (rate(sentinel_lb_vip_refused_total{{{AT}}}[$__rate_interval]))", "{{vip}}"),),
                ),
            ),
        ),
        Row(
            "Services",
            (
                Shown(
                    "Bytes by address",
                    "A second.",
                    "Bps",
                    ((f"sum by (vip) (rate(sentinel_lb_vip_bytes_total{{{AT}}}[$__rate_interval]))", "{{vip}}"),),
                ),
                Shown(
                    "Addresses announced",
                    "Each address has one speaker, or as many as BGP shares it between.",
                    "short",
                    ((f"sentinel_lb_announced_addresses{{{AT}}}", "{{instance}}"),),
                ),
            ),
        ),
        Row(
            "Loop",
            (
                Shown(
                    "Duration of a tick",
                    "The last one.",
                    "s",
                    ((f"sentinel_lb_tick_duration_seconds{{{AT}}}", "{{instance}}"),),
                ),
                Shown(
                    "Probes",
                    "Sent, and rounds that came late, a second.",
                    "short",
                    (
                        (f"rate(sentinel_lb_probes_sent_total{{{AT}}}[$__rate_interval])", "{{instance}} sent"),
                        (f"rate(sentinel_lb_probes_late_total{{{AT}}}[$__rate_interval])", "{{instance}} late"),
                    ),
                ),
            ),
        ),
    ),
)
