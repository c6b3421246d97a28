"""Node: one agent's classes, room, tick and flows."""

from monitoring.dashboards.shown import Dashboard, Row, Shown

ON = 'instance=~"$node",class=~"$class"'
AT = 'instance=~"$node"'
WAITED = "sentinel_class_waited_seconds_bucket"
TICKS = f"sum by (instance, le) (rate(sentinel_tick_duration_seconds_bucket{{{AT}}}[$__rate_interval]))"

NODE = Dashboard(
    "Node",
    "sentinel-node",
    choices={
        "node": "label_values(sentinel_ticks_total, instance)",
        "class": 'label_values(sentinel_class_bytes_total{instance=~"$node"}, class)',
    },
    rows=(
        Row(
            "Classes",
            (
                Shown(
                    "Traffic",
                    "Bytes a second that went the queue's way.",
                    "Bps",
                    ((f"rate(sentinel_class_bytes_total{{{ON}}}[$__rate_interval])", "{{instance}} {{class}}"),),
                ),
                Shown(
                    "Packets",
                    "Packets a second.",
                    "pps",
                    ((f"rate(sentinel_class_packets_total{{{ON}}}[$__rate_interval])", "{{instance}} {{class}}"),),
                ),
                Shown(
                    "Room and what waits",
                    "The limit moves before a burst, the backlog with it.",
                    "bytes",
                    (
                        (f"sentinel_class_limit_bytes{{{ON}}}", "{{instance}} {{class}} may"),
                        (f"sentinel_class_backlog_bytes{{{ON}}}", "{{instance}} {{class}} waits"),
                    ),
                ),
                Shown(
                    "Drops",
                    "Packets a second that found no room, or that the policer took.",
                    "pps",
                    ((f"rate(sentinel_class_drops_total{{{ON}}}[$__rate_interval])", "{{instance}} {{class}}"),),
                ),
                Shown(
                    "Time in the queue",
                    "Of the packets of the last tick: median, 95th, 99th percentile.",
                    "s",
                    ((f"sentinel_class_sojourn_seconds{{{ON}}}", "{{instance}} {{class}} {{quantile}}"),),
                    idle="Empty where no packet waited, and in tier C.",
                ),
                Shown(
                    "How times in the queue spread",
                    "Packets by how long they waited; each bound is four times the one below it.",
                    "s",
                    (
                        (
                            f"sum by (le) (increase({WAITED}{{{ON}}}[$__rate_interval]))",
                            "{{le}}",
                        ),
                    ),
                    "heat",
                    idle="Empty in tier C.",
                ),
                Shown(
                    "Controller",
                    "Share of packets that the PID of each class marks or drops, as the last packet found it.",
                    "percentunit",
                    ((f"sentinel_class_pid_output{{{ON}}}", "{{instance}} {{class}}"),),
                    idle="Empty in tier C, and where leaving packets queue.",
                ),
                Shown(
                    "Tier in force",
                    "1 for the tier of each interface. A: BPF queue, B: HTB, C: observe only.",
                    "short",
                    ((f"sentinel_data_plane_tier{{{AT}}} == 1", "{{instance}} {{interface}} {{tier}}"),),
                ),
                Shown(
                    "Signs of a burst",
                    "How strong, and which: slope, SYN growth, pressure, a neighbour's alarm.",
                    "percentunit",
                    ((f"sentinel_class_severity{{{ON}}}", "{{instance}} {{class}}"),),
                ),
            ),
        ),
        Row(
            "Pool",
            (
                Shown(
                    "Pool",
                    "Granted never exceeds total; lent is part of granted; held waits.",
                    "bytes",
                    ((f"sentinel_pool_bytes{{{AT}}}", "{{instance}} {{part}}"),),
                ),
                Shown(
                    "Lent and recalled",
                    "Bytes of room a second that went from one class to another, and back.",
                    "Bps",
                    (
                        (f"rate(sentinel_pool_lent_bytes_total{{{AT}}}[$__rate_interval])", "{{instance}} lent"),
                        (
                            f"rate(sentinel_pool_recalled_bytes_total{{{AT}}}[$__rate_interval])",
                            "{{instance}} recalled",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Tick",
            (
                Shown(
                    "Duration of a tick",
                    "Budget: 10 ms at the 99th percentile, with 16 classes and 64 k flows.",
                    "s",
                    (
                        (
                            f"histogram_quantile(0.5, {TICKS})",
                            "{{instance}} p50",
                        ),
                        (
                            f"histogram_quantile(0.99, {TICKS})",
                            "{{instance}} p99",
                        ),
                    ),
                ),
                Shown(
                    "Where the time goes",
                    "Seconds of work a second, by stage.",
                    "percentunit",
                    (
                        (
                            f"sum by (stage) (rate(sentinel_tick_stage_seconds_total{{{AT}}}[$__rate_interval]))",
                            "{{stage}}",
                        ),
                    ),
                    "areas",
                ),
                Shown(
                    "Ticks missed and failed",
                    "A second.",
                    "short",
                    (
                        (f"rate(sentinel_ticks_missed_total{{{AT}}}[$__rate_interval])", "{{instance}} missed"),
                        (f"rate(sentinel_ticks_failed_total{{{AT}}}[$__rate_interval])", "{{instance}} failed"),
                    ),
                ),
                Shown(
                    "Limits changed",
                    "A second.",
                    "short",
                    ((f"rate(sentinel_buffer_resizes_total{{{AT}}}[$__rate_interval])", "{{instance}}"),),
                ),
            ),
        ),
        Row(
            "Flows",
            (
                Shown(
                    "Flows in the table",
                    "At the last pass.",
                    "short",
                    ((f"sentinel_interface_flows{{{AT}}}", "{{instance}} {{interface}}"),),
                ),
                Shown(
                    "New flows and SYNs",
                    "A second. Many SYNs with few flows that go on are a flood.",
                    "short",
                    (
                        (f"rate(sentinel_class_flows_total{{{ON}}}[$__rate_interval])", "{{instance}} {{class}} flows"),
                        (f"rate(sentinel_class_syns_total{{{ON}}}[$__rate_interval])", "{{instance}} {{class}} SYNs"),
                    ),
                ),
            ),
        ),
    ),
)
