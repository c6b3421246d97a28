"""The lab's own pages say what the stored runs say."""

import sys

import pytest

from sentinel_lab.bench import crossover_page, front_page, rivals_page

PAGES = [crossover_page, front_page, rivals_page]


@pytest.fixture(params=PAGES, ids=lambda each: each.PAGE.stem)
def which(request, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["", "--check"])
    return request.param


def test_a_page_is_made_of_what_was_stored(which):
    which.main()


def test_a_figure_that_was_changed_by_hand_is_noticed(which, monkeypatch, tmp_path):
    told = which.PAGE.read_text()
    row = next(line for line in reversed(told.splitlines()) if line.startswith("| ") and any(map(str.isdigit, line)))
    copied = tmp_path / which.PAGE.name
    copied.write_text(told.replace(row, row.translate(str.maketrans("0123456789", "1234567890"))))
    monkeypatch.setattr(which, "PAGE", copied)
    with pytest.raises(SystemExit, match=which.PAGE.name):
        which.main()
