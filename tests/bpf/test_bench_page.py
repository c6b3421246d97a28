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


def test_the_page_says_in_words_what_is_over_the_budget():
    run = json.loads(bpf_page.DATA.read_text())
    frames = [each for each in run["rows"] if each.get("on") == "probes" and each["flows"] == 4096]
    frames[0]["p50"], frames[1]["p50"] = 140.0, 141.0
    sentence = next(line for line in bpf_page.page(run).splitlines() if line.startswith("The budgets are those"))
    assert f"{frames[0]['frame']} at 4096" not in sentence
    assert f"{frames[1]['frame']} at 4096 flows (141 ns" in sentence


def test_the_stored_run_moved_limits_within_the_budget_and_lost_nothing():
    metrics = json.loads(buffer_page.DATA.read_text())["metrics"]
    assert metrics["tier_b_resize_p99_us"] <= 1000
    assert metrics["tier_a_lost"] == metrics["tier_b_lost"] == 0
