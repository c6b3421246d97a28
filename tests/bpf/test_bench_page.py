"""The pages of the data plane's benchmarks say what the stored runs say."""

import json

import pytest

from sentinel_lab.bench import bpf_page, buffer_page


@pytest.mark.parametrize("which", [bpf_page, buffer_page], ids=["bpf", "buffer"])
def test_the_page_is_made_of_the_stored_run(which):
    assert which.PAGE.read_text() == which.page(json.loads(which.DATA.read_text()))


def test_the_stored_run_keeps_the_budgets():
    metrics = json.loads(bpf_page.DATA.read_text())["metrics"]
    assert metrics["ns_all_4k_quiet"] <= metrics["ns_all_4k"] <= 140
    assert metrics["ns_all_64k_quiet"] <= metrics["ns_all_64k"] <= 380


def test_the_stored_run_moved_limits_within_the_budget_and_lost_nothing():
    metrics = json.loads(buffer_page.DATA.read_text())["metrics"]
    assert metrics["tier_b_resize_p99_us"] <= 1000
    assert metrics["tier_a_lost"] == metrics["tier_b_lost"] == 0
