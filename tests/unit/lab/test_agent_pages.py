"""What `make check` looks at: whether the agent's benchmark pages say what the stored runs say."""

import sys
from pathlib import Path

import pytest

from sentinel_lab.bench import burst_page, faults_page, tick_page

CHECK = Path(__file__).parents[3] / "tools/check.sh"
PAGES = {"burst": burst_page, "tick": tick_page, "faults": faults_page}


@pytest.fixture(params=PAGES)
def copied(request, monkeypatch, tmp_path):
    """A page that may be changed, and what checks it."""
    which = PAGES[request.param]
    page = tmp_path / which.PAGE.name
    page.write_text(which.PAGE.read_text())
    monkeypatch.setattr(which, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["", "--check"])
    if request.param == "burst":  # whose figures take seconds to make; the gate itself makes them
        made = page.read_text()
        monkeypatch.setattr(which, "page", lambda *_: made)
    return page, which.main


def test_a_page_that_says_what_was_stored_passes(copied):
    copied[1]()


def test_a_figure_that_was_changed_by_hand_is_noticed_and_not_written_over(copied):
    page, check = copied
    told = page.read_text()
    row = next(line for line in reversed(told.splitlines()) if line.startswith("| ") and any(map(str.isdigit, line)))
    changed = told.replace(row, row.translate(str.maketrans("0123456789", "1234567890")))
    page.write_text(changed)
    with pytest.raises(SystemExit, match=f"{page.name} is not what"):
        check()
    assert page.read_text() == changed


def test_make_check_asks_all_of_them():
    (gate,) = [line for line in CHECK.read_text().splitlines() if "_page --check" in line]
    assert set(gate.split("for page in ")[1].split(";")[0].split()) == set(PAGES)
