"""Rules, runbooks and dashboards as values: whole, current, and about metrics that exist."""

import json
import re

import pytest
from monitoring.__main__ import ROOT
from monitoring.alerts import ALERTS
from monitoring.dashboards import DASHBOARDS, as_json
from monitoring.render import files
from monitoring.rules import RECORDINGS

PANELS = [(name, panel) for name, board in DASHBOARDS.items() for row in board.rows for panel in row.panels]
PAGE = (ROOT / "docs/reference/metrics.md").read_text()  # which `make check` compares with the code
KNOWN = set(re.findall(r"^\| `(sentinel_\w+)`", PAGE, re.MULTILINE)) | {each.record for each in RECORDINGS}


@pytest.mark.parametrize("path", sorted(files()))
def test_what_is_checked_in_is_what_is_rendered(path):
    assert (ROOT / path).read_text() == files()[path], "run `make monitoring`"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_case_that_fires_and_one_that_does_not(alert):
    assert {bool(case.fires) for case in alert.cases} == {True, False}
    assert all(case.minute > alert.minutes for case in alert.cases), "a case ends after the alert may begin"


def names(expr: str) -> set[str]:
    return set(re.findall(r"(?:[a-z_]+:)?sentinel_[a-z0-9_]+(?::[a-z0-9]+)?", re.sub(r"\{[^}]*\}", "", expr)))


@pytest.mark.parametrize(
    "expr", [e.expr for e in (*RECORDINGS, *ALERTS)] + [q[0] for _, p in PANELS for q in p.queries]
)
def test_every_metric_exists(expr):
    assert {name.removesuffix("_bucket") for name in names(expr)} <= KNOWN


def test_reasons_that_are_asked_for_by_name_exist():
    asked = {one for _, panel in PANELS for expr, _ in panel.queries for one in re.findall(r'{reason=~"([^"]+)"', expr)}
    assert {reason for some in asked for reason in some.split("|")} <= set(re.findall(r"`(\w+)`", PAGE))


def test_a_heat_is_counted_by_prometheus_not_by_grafana():
    spread = [each for each in json.loads(as_json(DASHBOARDS["node"]))["panels"] if each["type"] == "heatmap"]
    assert [target["format"] for each in spread for target in each["targets"]] == ["heatmap"]
    assert [each["options"]["calculate"] for each in spread] == [False]


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=lambda value: getattr(value, "title", value))
def test_a_panel_says_what_it_shows(board, panel):
    assert panel.title
    assert panel.text.endswith(".")
    assert panel.unit
    assert len({legend for _, legend in panel.queries}) == len(panel.queries), "two lines of one name"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_gets_every_panel_and_query(name):
    board = json.loads(as_json(DASHBOARDS[name]))
    shown = [each for each in board["panels"] if each["type"] != "row"]
    wanted = [panel for row in DASHBOARDS[name].rows for panel in row.panels]
    assert [each["title"] for each in shown] == [panel.title for panel in wanted]
    for each, panel in zip(shown, wanted, strict=True):
        assert [target["expr"] for target in each["targets"]] == [expr for expr, _ in panel.queries]
        assert each["description"]
        assert each["fieldConfig"]["defaults"]["unit"] == panel.unit


def test_the_cluster_board_costs_the_same_at_a_thousand_nodes():
    """Its lines are sums that Prometheus keeps, or one number over all nodes: never a line a node."""
    for row in DASHBOARDS["cluster"].rows:
        for panel in row.panels:
            for expr, legend in panel.queries:
                assert "instance" not in legend
                assert re.match(r"(sum|max|avg|count)\b|[a-z_]+:sentinel_", expr), expr
