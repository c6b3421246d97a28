"""Every metric of the agent in words, once: what the exporters say of it and what docs/reference/metrics.md is made
from. Counters are exposed with `_total` behind their name, as Prometheus wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Described:
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()

    @property
    def exposed(self) -> str:
        return f"{self.name}_total" if self.kind == "counter" else self.name


IC: Final = ("interface", "class")

_ALL: Final = (
    # The loop.
    Described("sentinel_ticks", "counter", "Ticks that were answered."),
    Described("sentinel_ticks_missed", "counter", "Instants of the 100 ms grid that were skipped."),
    Described("sentinel_ticks_failed", "counter", "Ticks that ended with an error."),
    Described("sentinel_tick_duration_seconds", "histogram", "How long ticks took."),
    Described("sentinel_tick_stage_seconds", "counter", "Time spent in ticks, by stage.", ("stage",)),
    # The data plane.
    Described("sentinel_data_plane_tier", "gauge", "1 for the tier in force.", ("interface", "tier")),
    Described("sentinel_interface_steered", "gauge", "1 where orders are in force, 0 where not.", ("interface",)),
    Described("sentinel_interface_flows", "gauge", "Flows in the table, at the last pass.", ("interface",)),
    Described("sentinel_interface_flows_evicted", "counter", "Flows that went for newer ones.", ("interface",)),
    Described(
        "sentinel_interface_unclassified_packets", "counter", "Queued without a word of their class.", ("interface",)
    ),
    # Classes, from the kernel's counters.
    Described("sentinel_class_packets", "counter", "Packets that went the queue's way.", IC),
    Described("sentinel_class_bytes", "counter", "Bytes that went the queue's way.", IC),
    Described("sentinel_class_flows", "counter", "Flows seen for the first time.", IC),
    Described("sentinel_class_syns", "counter", "TCP SYNs that arrived.", IC),
    Described("sentinel_class_drops", "counter", "Packets dropped by the policer or the queue.", IC),
    # Classes, from their queues.
    Described("sentinel_class_limit_bytes", "gauge", "Bytes that may wait.", IC),
    Described("sentinel_class_lent_bytes", "gauge", "Of what may wait, how much is lent.", IC),
    Described("sentinel_class_recalled_bytes", "counter", "Bytes of the class's loans that were taken back.", IC),
    Described("sentinel_class_backlog_bytes", "gauge", "Bytes that wait.", IC),
    Described("sentinel_class_flow_floor_bytes", "gauge", "Room that the flows' round trips ask for.", IC),
    Described("sentinel_class_sent_packets", "counter", "Packets that the queue sent.", IC),
    Described("sentinel_class_timed_packets", "counter", "Of those, how many were timed.", IC),
    Described("sentinel_class_waited_seconds", "histogram", "Packets by their time in the queue.", IC),
    Described("sentinel_class_pid_output", "gauge", "Share of packets that the controller marks or drops, 0 to 1.", IC),
    Described("sentinel_class_sojourn_seconds", "gauge", "Time in the queue over the last tick.", (*IC, "quantile")),
    # Signs.
    Described("sentinel_class_severity", "gauge", "How strong the signs of a burst are, 0 to 1.", IC),
    Described("sentinel_class_sign", "gauge", "Each sign: slope, syn_growth, pressure, alarm; 0 to 1.", (*IC, "sign")),
    # The pool.
    Described("sentinel_pool_bytes", "gauge", "Memory for queues; lent is part of granted.", ("part",)),
    Described("sentinel_pool_lent_bytes", "counter", "Bytes of room that were lent."),
    Described("sentinel_pool_recalled_bytes", "counter", "Bytes of lent room that were taken back."),
    Described("sentinel_buffer_resizes", "counter", "Limits that were changed."),
    # Queues that are only imagined, where an interface is observed and has a rate.
    Described("sentinel_shadow_seconds", "counter", "Time for which queues were imagined: nothing is enforced."),
    Described("sentinel_shadow_arrived_bytes", "counter", "Bytes that would have gone through the queue.", IC),
    Described("sentinel_shadow_dropped_bytes", "counter", "Bytes that a rule would have dropped.", (*IC, "rule")),
    Described("sentinel_shadow_peak_bytes", "gauge", "Most that would have waited under a rule.", (*IC, "rule")),
    # Forecasts.
    Described("sentinel_forecast_bytes_per_second", "gauge", "Demand that is expected.", ("horizon", "quantile")),
    Described("sentinel_forecast_fallbacks", "counter", "Answers that came from the fallback."),
    Described("sentinel_forecast_by_model", "gauge", "1 while the model answers, 0 while others do.", ("interface",)),
    Described("sentinel_forecast_trusted", "gauge", "1 while forecasts are acted on.", ("interface",)),
    Described("sentinel_forecast_judged", "gauge", "Bursts and alarms of the scored window.", ("interface", "outcome")),
    Described("sentinel_forecast_brier", "gauge", "Brier score of the chance of a burst within 10 s.", ("interface",)),
    Described("sentinel_forecast_lead_seconds", "gauge", "Median time from alarm to burst.", ("interface",)),
    # The mesh.
    Described("sentinel_mesh_members", "gauge", "Other nodes of the mesh.", ("level",)),
    Described("sentinel_mesh_refused", "counter", "Records that were not believed.", ("reason",)),
    Described("sentinel_mesh_states_sent", "counter", "States told to the others."),
    Described("sentinel_mesh_certificates_renewed", "counter", "Certificates that took an old one's place."),
    Described("sentinel_mesh_certificate_stale", "gauge", "1 while a new certificate cannot be used."),
    Described("sentinel_mesh_certificate_left", "gauge", "Share of the certificate's life that is left, 0 to 1."),
    Described("sentinel_mesh_states_unsent", "counter", "States that the engine did not take."),
    # Sinks.
    Described("sentinel_sink_batches_sent", "counter", "Batches that a sink took.", ("sink",)),
    Described("sentinel_sink_batches_dropped", "counter", "Batches that were too old or too many to keep.", ("sink",)),
    Described("sentinel_sink_waiting", "gauge", "Batches that wait to be sent.", ("sink",)),
    Described("sentinel_log_lines_lost", "counter", "Log lines that nobody took, as on a full disk."),
)

FAMILIES: Final[Mapping[str, Described]] = {each.name: each for each in _ALL}
