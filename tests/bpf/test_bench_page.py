"""The page of the data plane's benchmark says what the stored run says."""

import json

from sentinel_lab.bench import bpf_page


def test_the_page_is_made_of_the_stored_run():
    assert bpf_page.PAGE.read_text() == bpf_page.page(json.loads(bpf_page.DATA.read_text()))


def test_the_stored_run_keeps_the_budgets_where_neighbours_left_it_alone():
    metrics = json.loads(bpf_page.DATA.read_text())["metrics"]
    assert metrics["ns_all_4k_quiet"] <= 140
    assert metrics["ns_all_64k_quiet"] <= 380
