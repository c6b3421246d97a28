"""Cluster: does it carry what comes, see what is coming, and have room. Sums only: a thousand nodes cost the same."""

from monitoring.dashboards.shown import Dashboard, Row, Shown

MARKS = (
    ('delta(outcome:sentinel_forecast_judged:sum{outcome="hits"}[1m]) > 0', "Burst, foreseen"),
    ('delta(outcome:sentinel_forecast_judged:sum{outcome="misses"}[1m]) > 0', "Burst, unforeseen"),
    ('delta(outcome:sentinel_forecast_judged:sum{outcome="false_alarms"}[1m]) > 0', "Alarm without a burst"),
)
FORECAST = "horizon_quantile:sentinel_forecast_bytes_per_second:sum"


def _imagined(rule: str) -> str:
    return f'sum(rate(sentinel_shadow_dropped_bytes_total{{rule="{rule}"}}[1m]))'


CLUSTER = Dashboard(
    "Cluster",
    "sentinel-cluster",
    choices={"class": "label_values(class:sentinel_class_bytes:rate1m, class)"},
    marks=MARKS,
    rows=(
        Row(
            "Now",
            (
                Shown(
                    "Nodes that answer",
                    "Agents whose loop ran in the last minute.",
                    "short",
                    (("count(rate(sentinel_ticks_total[1m]) > 0)", ""),),
                    "number",
                    4,
                ),
                Shown(
                    "Traffic",
                    "All classes, towards the queues.",
                    "Bps",
                    (("sum(class:sentinel_class_bytes:rate1m)", ""),),
                    "number",
                    4,
                ),
                Shown(
                    "Dropped",
                    "Share of packets that found no room.",
                    "percentunit",
                    (("sum(class:sentinel_class_drops:rate1m) / sum(class:sentinel_class_packets:rate1m)", ""),),
                    "number",
                    4,
                ),
                Shown(
                    "Worst p99 in the queue",
                    "The slowest class of the slowest node.",
                    "s",
                    (('max(sentinel_class_sojourn_seconds{quantile="0.99"})', ""),),
                    "number",
                    4,
                ),
                Shown(
                    "Room granted",
                    "Share of all pools.",
                    "percentunit",
                    (
                        (
                            'part:sentinel_pool_bytes:sum{part="granted"} / ignoring(part) '
                            'part:sentinel_pool_bytes:sum{part="total"}',
                            "",
                        ),
                    ),
                    "number",
                    4,
                ),
                Shown(
                    "Forecasts acted on",
                    "Interfaces whose forecasts have earned it.",
                    "percentunit",
                    (("avg(sentinel_forecast_trusted)", ""),),
                    "number",
                    4,
                ),
            ),
        ),
        Row(
            "Traffic",
            (
                Shown(
                    "Traffic by class",
                    "Bytes a second that went the queues' way, all nodes.",
                    "Bps",
                    (('class:sentinel_class_bytes:rate1m{class=~"$class"}', "{{class}}"),),
                    "areas",
                ),
                Shown(
                    "Demand: now, and in a minute as forecast",
                    "The band is the 50th to the 95th percentile, added up over nodes (an upper bound).",
                    "Bps",
                    (
                        ("sum(class:sentinel_class_bytes:rate1m)", "now"),
                        (f'{FORECAST}{{horizon="60s",quantile="0.5"}}', "in 60 s, median"),
                        (f'{FORECAST}{{horizon="60s",quantile="0.95"}}', "in 60 s, 95th"),
                    ),
                    band=("in 60 s, 95th", "in 60 s, median"),
                ),
                Shown(
                    "Drops by class",
                    "Packets a second, by the policer and by the queues.",
                    "pps",
                    (('class:sentinel_class_drops:rate1m{class=~"$class"}', "{{class}}"),),
                ),
                Shown(
                    "Time in the queue",
                    "99th percentile of the last tick, the slowest node of each class.",
                    "s",
                    (
                        (
                            'max by (class) (sentinel_class_sojourn_seconds{quantile="0.99",class=~"$class"})',
                            "{{class}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Room",
            (
                Shown(
                    "Pool",
                    "Granted is what limits allow, held is what waits. Lent is the part of granted that others gave.",
                    "bytes",
                    (("part:sentinel_pool_bytes:sum", "{{part}}"),),
                ),
                Shown(
                    "Room against what waits, by class",
                    "All nodes.",
                    "bytes",
                    (
                        ('sum by (class) (sentinel_class_limit_bytes{class=~"$class"})', "{{class}} may"),
                        ('sum by (class) (sentinel_class_backlog_bytes{class=~"$class"})', "{{class}} waits"),
                    ),
                ),
            ),
        ),
        Row(
            "Nodes and addresses",
            (
                Shown(
                    "Number of nodes",
                    "Asked for; what the forecast calls for; what present demand alone would call for.",
                    "short",
                    (
                        ("max by (namespace, cluster) (sentinel_scaling_target_nodes)", "{{cluster}}: asked"),
                        ("max by (namespace, cluster) (sentinel_scaling_required_nodes)", "{{cluster}}: forecast"),
                        (
                            "max by (namespace, cluster) (sentinel_scaling_reactive_nodes)",
                            "{{cluster}}: present",
                        ),
                    ),
                    idle="Empty without an operator, and while scaling is off.",
                ),
                Shown(
                    "Traffic by address",
                    "Bytes a second that balancers sent on.",
                    "Bps",
                    (("sum by (vip) (rate(sentinel_lb_vip_bytes_total[1m]))", "{{vip}}"),),
                    "areas",
                    idle="Empty without balancers.",
                ),
                Shown(
                    "What would have been dropped",
                    "Where agents only observe. An estimate, by a fluid model: bytes a second that the orders, the "
                    "reactive rule and the floors alone would have dropped.",
                    "Bps",
                    (("sum by (rule) (rate(sentinel_shadow_dropped_bytes_total[1m]))", "{{rule}}"),),
                    idle="Empty where queues are enforced.",
                ),
                Shown(
                    "Drops that orders would have avoided",
                    "Where agents only observe. An estimate, by a fluid model: bytes a second that floors alone, and "
                    "the reactive rule, would have dropped beyond what orders would. Below zero orders would cost.",
                    "Bps",
                    (
                        (f"{_imagined('static')} - {_imagined('ordered')}", "against floors alone"),
                        (f"{_imagined('reactive')} - {_imagined('ordered')}", "against the reactive rule"),
                    ),
                    "balance",
                    idle="Empty where queues are enforced: there is no second network without Sentinel beside yours.",
                ),
            ),
        ),
        Row(
            "Mesh",
            (
                Shown(
                    "Members, as the best informed node sees them",
                    "By how far they are believed to live.",
                    "short",
                    (("max by (level) (sentinel_mesh_members)", "{{level}}"),),
                ),
                Shown(
                    "Tiers in force",
                    "A: BPF queue, B: HTB, C: observe only.",
                    "short",
                    (("sum by (tier) (sentinel_data_plane_tier)", "tier {{tier}}"),),
                ),
            ),
        ),
    ),
)
