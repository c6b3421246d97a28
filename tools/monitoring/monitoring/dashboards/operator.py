"""Operator: what it looks at, and what it thinks about the number of nodes."""

from monitoring.dashboards.shown import MOST, Dashboard, Row, Shown

AT = 'cluster=~"$cluster"'
CHANGES = f"sentinel_scaling_decisions_total{{{AT}}}"

OPERATOR = Dashboard(
    "Operator",
    "sentinel-operator",
    choices={"cluster": "label_values(sentinel_scaling_coverage_percent, cluster)"},
    rows=(
        Row(
            "Scaling",
            (
                Shown(
                    "Nodes",
                    "Asked for; what the forecast calls for; what present demand alone would call for.",
                    "short",
                    (
                        (f"sentinel_scaling_target_nodes{{{AT}}}", "{{cluster}} asked for"),
                        (f"sentinel_scaling_required_nodes{{{AT}}}", "{{cluster}} by forecast"),
                        (f"sentinel_scaling_reactive_nodes{{{AT}}}", "{{cluster}} by present demand"),
                    ),
                    idle="Nothing is asked for while scaling is off or only recommends.",
                ),
                Shown(
                    "Forecast demand",
                    "95th percentile of the sum over nodes, at the lead time.",
                    "Bps",
                    ((f"sentinel_scaling_demand_p95_bytes_per_second{{{AT}}}", "{{cluster}}"),),
                ),
                Shown(
                    "Coverage",
                    "Share of nodes with a fresh report.",
                    "percent",
                    ((f"sentinel_scaling_coverage_percent{{{AT}}}", "{{cluster}}"),),
                ),
                Shown(
                    "Nodes deviate together",
                    "0: each by itself; 1: all at once, which needs the most room.",
                    "short",
                    ((f"sentinel_scaling_correlation{{{AT}}}", "{{cluster}}"),),
                ),
                Shown(
                    "Decisions",
                    f"Changes of the number of nodes, an hour; the {MOST} kinds with most.",
                    "short",
                    (
                        (
                            f"topk({MOST}, sum by (cluster, direction, reason) (increase({CHANGES}[1h])))",
                            "{{cluster}} {{direction}} {{reason}}",
                        ),
                    ),
                    width=24,
                    idle="Empty until the first change.",
                ),
            ),
        ),
        Row(
            "Loop",
            (
                Shown(
                    "Looks",
                    "A minute, by how they ended.",
                    "short",
                    (("sum by (outcome) (60 * rate(sentinel_operator_looks_total[$__rate_interval]))", "{{outcome}}"),),
                ),
                Shown(
                    "Requests to the API server",
                    "A second, by verb; those for the Lease, one in two seconds, are not among them.",
                    "short",
                    (("sum by (verb) (rate(sentinel_operator_requests_total[$__rate_interval]))", "{{verb}}"),),
                ),
                Shown(
                    "Leader",
                    "1 for the replica that holds the Lease.",
                    "short",
                    (("sentinel_operator_leading", "{{instance}}"),),
                ),
                Shown(
                    "CPU",
                    "Of the operator's leader and its stand-in.",
                    "short",
                    (('rate(process_cpu_seconds_total{job=~".*operator.*"}[$__rate_interval])', "{{instance}}"),),
                ),
                Shown(
                    "Memory",
                    "Resident.",
                    "bytes",
                    (('process_resident_memory_bytes{job=~".*operator.*"}', "{{instance}}"),),
                ),
            ),
        ),
    ),
)
