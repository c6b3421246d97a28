"""The balancer's benchmark pages say what the stored runs say, and notice a figure that was changed by hand."""

import json
import sys

import pytest

from sentinel_lab.bench import balancer_page, lb

LOADS = [
    {"what": "load average, one minute, at the start", "value": 1.25},
    {"what": "load average, at the end", "value": 2},
]
MACHINE = {"date": "2026-01-02T03:04:05+00:00", "kernel": "6.18", "cpus": "2"}


def test_the_pages_are_what_the_stored_runs_say(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["", "--check"])
    balancer_page.main()


@pytest.mark.parametrize("stored", balancer_page.PAGES)
def test_a_figure_that_was_changed_by_hand_is_noticed(stored, monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    for each, (page, _) in balancer_page.PAGES.items():
        (tmp_path / "data" / each).write_text((balancer_page.DOCS / "data" / each).read_text())
        (tmp_path / page).write_text((balancer_page.DOCS / page).read_text())
    changed = tmp_path / "data" / stored
    changed.write_text(changed.read_text().replace("2026-", "2036-"))
    monkeypatch.setattr(balancer_page, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["", "--check"])
    with pytest.raises(SystemExit, match=stored):
        balancer_page.main()


def test_a_run_fills_the_rows_that_name_its_metrics_and_no_other_cell():
    loops = [
        {"what": balancer_page.LOOPS, "p50": 100 + n, "p50 least": 90, "p50 most": 110, "quiet": 95}
        for n in range(len(lb.KINDS))
    ]
    metrics = {"ring_ms_100": 51.4, "moved_percent": 0.554, "ns_live_lb": 1586.1}
    run = {"machine": MACHINE, "metrics": metrics, "rows": [LOADS[0], *loops, LOADS[1]]}
    to = balancer_page.TO
    page = (
        "<!-- run -->old\nwords<!-- /run -->.\n"
        f"| known TCP, 1 flow | `ns_known_tcp_1` | 1 | 1{to}1 | 1 | 140 |\n"
        "| others | `moved_percent` | 9 |\n| balancer | `ns_live_lb` | 9 |\n| unknown | `else` | 9 |\n"
    )
    assert balancer_page.of_the_program(page, run) == (
        "<!-- run -->2026-01-02 at 03:04, kernel 6.18, 2 virtual CPUs "
        "(load average 1.2 before, 2.0 after)<!-- /run -->.\n"
        f"| known TCP, 1 flow | `ns_known_tcp_1` | 100 | 90{to}110 | 95 | 140 |\n"
        "| others | `moved_percent` | 0.55 |\n| balancer | `ns_live_lb` | 1,586 |\n| unknown | `else` | 9 |\n"
    )


def test_a_moved_burst_has_a_row_for_each_kind_of_agents():
    found = {"lead_ms_min": 3.2, "lead_ms_p50": 4.6, "room_bytes": 65_536, "drop_share": 0.0049}
    metrics = {f"moved.{name}_{kind}": value for kind in balancer_page.AGENTS for name, value in found.items()}
    rows = [{"policy": "deaf", "lead_ms": lead} for lead in (0, 2.0, 0)]
    told = balancer_page.of_a_moved_burst(
        "<!-- moved -->x<!-- /moved -->\n| nobody | 2 | 0 | 0 | 0 | 66 | 0.5 |\n",
        json.loads(json.dumps({"machine": MACHINE, "metrics": metrics, "rows": [*LOADS, *rows]})),
    )
    assert told.splitlines() == [
        "<!-- moved -->2026-01-02, load average 1.2 before, 2.0 after<!-- /moved -->",
        "| nobody | 3 | 1 | 3 | 5 | 66 | 0.5 |",
    ]
