"""What a panel, a row and a dashboard are here, and how they become Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${source}")
WIDE, HIGH, LOW = 24, 8, 4
ONE_BY_ONE = {"node"}
"""Of these a board begins with the first: all of a thousand would be ten thousand lines."""
MOST = 20
"""Lines of a panel that has one a node."""
Panel = TypeVar("Panel", timeseries.Panel, stat.Panel, heatmap.Panel)
Query = tuple[str, str]  # PromQL, and what a line of its answer is called


@dataclass(frozen=True, slots=True)
class Shown:
    """`unit` is Grafana's name of it; `idle` names why a healthy system may have nothing to show here. A heat's query
    gives a line a bucket, named by its `le`; a balance may be below zero. Between the two lines of a `band` it is
    filled, the upper one first."""

    title: str
    text: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["lines", "areas", "number", "heat", "balance"] = "lines"
    width: int = 12
    idle: str = ""
    band: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`choices`: variable → the label values it offers, as `label_values(metric, label)`."""

    title: str
    uid: str
    rows: tuple[Row, ...]
    choices: Mapping[str, str]
    marks: tuple[Query, ...] = ()


def built(shown: Dashboard) -> str:
    made = (
        dashboard.Dashboard(f"Sentinel / {shown.title}")
        .uid(shown.uid)
        .tags(["sentinel"])
        .time("now-30m", "now")
        .refresh("10s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .link(
            dashboard.DashboardLink("Sentinel")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["sentinel"])
            .as_dropdown(True)
        )
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for name, query in shown.choices.items():
        made = made.with_variable(_choice(name, query))
    for expr, name in shown.marks:
        made = made.annotation(
            dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).expr(expr).icon_color(_colour(name))
        )
    for row in shown.rows:
        made = made.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(DRAWN.get(panel.kind, _lines)(panel))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _choice(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(name not in ONE_BY_ONE)
        .multi(True)
        .all_value(".*")
    )


def _colour(name: str) -> str:
    return {"foreseen": "green", "unforeseen": "orange"}.get(name.rsplit(" ", 1)[-1], "red")


def _targets(panel: Shown) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(ord("A") + number)).datasource(SOURCE)
        for number, (expr, legend) in enumerate(panel.queries)
    ]


def _framed(made: Panel, panel: Shown) -> Panel:
    """What every kind of panel says of itself."""
    return (
        made.title(panel.title)
        .description(f"{panel.text} {panel.idle}".strip())
        .unit(panel.unit)
        .datasource(SOURCE)
        .span(panel.width)
        .height(HIGH)
    )


def _lines(panel: Shown) -> timeseries.Panel:
    made = (
        _framed(timeseries.Panel(), panel)
        .line_width(1)
        .fill_opacity(20 if panel.kind == "areas" else 6)
        .show_points(shapes.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(True).placement(shapes.LegendPlacement.BOTTOM))
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
    )
    if panel.kind != "balance":
        made = made.min(0)
    if panel.band is not None:
        upper, lower = panel.band
        made = made.override_by_name(upper, [model.DynamicConfigValue("custom.fillBelowTo", lower)])
    if panel.kind == "areas":
        made = made.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL))
    for target in _targets(panel):
        made = made.with_target(target)
    return made


def _number(panel: Shown) -> stat.Panel:
    made = _framed(stat.Panel(), panel).height(LOW).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    for target in _targets(panel):
        made = made.with_target(target)
    return made


def _heat(panel: Shown) -> heatmap.Panel:
    """Prometheus counts the buckets, and Grafana only colours them: dark where nothing was."""
    made = (
        _framed(heatmap.Panel(), panel)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .show_tooltip()
    )
    for target in _targets(panel):
        made = made.with_target(target.format(PromQueryFormat.HEATMAP))
    return made


DRAWN = {"number": _number, "heat": _heat}
