"""The table of faults: what all share in columns, everything else in words, and nothing invented."""

from sentinel_lab.bench import faults_page


def test_a_fault_has_a_line_with_its_figures_and_an_empty_cell_for_what_was_not_measured():
    found = faults_page.table({"kill": {"sent": 48979, "lost": 0, "tier": "B"}, "clock": {"ticks_missed": 3.0}})
    assert found.splitlines()[2:] == ["| clock |  |  |  |  | 3 |  |", "| kill | 48,979 | 0 |  |  |  | tier B |"]


def test_the_page_has_the_table_of_the_figures_that_are_kept_beside_it():
    page = faults_page.PAGE.read_text()
    assert faults_page.TABLE.search(page).group() == faults_page.table(
        faults_page.json.loads(faults_page.KEPT.read_text())
    )
