"""Many nodes' reports as the demand of the fleet: quantile of the sum, and what silent nodes count for."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_high

from sentinel_core import forecast


@dataclass(frozen=True, slots=True)
class Known:
    """Of a node or of many, in bytes per second: now, and as expected at the horizon asked for."""

    now: float
    p50: float
    p95: float


NOTHING = Known(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Report:
    """One buffer node. `known` is None where no report ever came; a stale one is kept as the last known."""

    node: str
    known: Known | None = None
    fresh: bool = False
    foresees: bool = False  # it sent a forecast, and that is trusted
    by_mesh: bool = False  # it came by the mesh, not by the node's status


@dataclass(frozen=True, slots=True)
class Demand:
    """What the fleet must carry, in bytes per second.

    A node that never reported has carried nothing that anyone saw: it must not make the fleet grow (new nodes would
    call for newer ones), nor shrink. So it counts for nothing in what is `seen`, and as its peers in what is `feared`.
    """

    horizon_s: int
    seen: Known = NOTHING
    feared: Known = NOTHING
    nodes: int = 0
    reporting: int = 0
    foreseeing: int = 0
    by_mesh: int = 0
    correlation: float = 1.0  # that the sum was formed with
    rise: float = 0.0  # the share that present demand gains by the horizon, if it goes on to grow as it has
    pays: bool = True  # whether forecasts came closer of late than present demand did

    @property
    def coverage_percent(self) -> int:
        return 100 * self.reporting // self.nodes if self.nodes else 0

    def believable(self, min_percent: int) -> bool:
        """Whether enough of those that report also foresee."""
        return self.reporting > 0 and 100 * self.foreseeing >= min_percent * self.reporting


def fleet(reports: Iterable[Report], horizon_s: int, correlation: float) -> Demand:
    """The order of the reports is irrelevant to the last bit: they are summed by name."""
    ordered = sorted(reports, key=lambda report: report.node)
    known = [report.known for report in ordered if report.known]
    if not known:
        return Demand(horizon_s, nodes=len(ordered), correlation=correlation)
    typical = Known(*(median_high(values) for values in zip(*((k.now, k.p50, k.p95) for k in known), strict=True)))
    counted = [_counted(report, typical) for report in ordered]
    seen = [value for value, report in zip(counted, ordered, strict=True) if report.known]
    return Demand(
        horizon_s=horizon_s,
        seen=_sum(seen, correlation),
        feared=_sum(counted, correlation),
        nodes=len(ordered),
        reporting=sum(report.fresh for report in ordered),
        foreseeing=sum(report.fresh and report.foresees for report in ordered),
        by_mesh=sum(report.fresh and report.by_mesh for report in ordered),
        correlation=correlation,
    )


def _counted(report: Report, typical: Known) -> Known:
    """The median is over all that is known, fresh or not, so that falling silent never lowers what others count for."""
    if report.known is None:
        return typical
    if report.fresh:
        return report.known
    last = report.known
    return Known(max(last.now, typical.now), max(last.p50, typical.p50), max(last.p95, typical.p95))


def _sum(nodes: list[Known], correlation: float) -> Known:
    """With the p95 of the sum, which is less than the sum of the p95s where nodes do not err together."""
    summed = forecast.spreads([[node.p50] for node in nodes], [[node.p95] for node in nodes])
    return Known(sum(node.now for node in nodes), float(summed.p50[0]), float(summed.p95(correlation)[0]))
