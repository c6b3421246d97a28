"""Reference pages say what the code says, and refuse to be silent about what they do not know."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pages import chart, conditions, environment, metrics
from pages.verdicts import Verdict, verdicts

from sentinel_operator.decide import autoscale

ROOT = Path(__file__).parents[3]


def read(tmp_path: Path, source: str) -> tuple[Verdict, ...]:
    path = tmp_path / "source.py"
    path.write_text(source)
    return verdicts([path], {})


def test_a_condition_of_one_call_is_found(tmp_path):
    source = 'def f(n):\n    return condition("Ready", "False", "Gone", f"{n} is gone", 0)\n'
    assert read(tmp_path, source) == (Verdict("Ready", "False", "Gone", "… is gone"),)


def test_what_a_function_returns_belongs_to_the_condition_that_asks_it(tmp_path):
    source = 'def g(n):\n    if n:\n        return "True", "Up", "It is."\n    return "False", "Down", said(n)\n'
    source += 'def f(n):\n    return build("Ready", *g(n))\n'
    assert read(tmp_path, source) == (Verdict("Ready", "False", "Down", ""), Verdict("Ready", "True", "Up", "It is."))


def test_a_reason_from_a_table_is_every_key_of_it(tmp_path):
    source = (
        'T = {"A": "First {n}.", "B": "Second."}\ndef g(n):\n    why = T[n].format(n=n)\n    return "True", n, why\n'
    )
    source += 'def f(n):\n    return build("Ready", *g(n))\n'
    assert [(each.reason, each.message) for each in read(tmp_path, source)] == [("A", "First …."), ("B", "Second.")]


def test_a_reason_that_nobody_knows_is_no_page(tmp_path):
    source = 'def g(n):\n    return "True", n.reason, "It is."\ndef f(n):\n    return build("Ready", *g(n))\n'
    with pytest.raises(AssertionError, match=r"nobody knows what n\.reason can be"):
        read(tmp_path, source)


def test_every_reason_of_scaling_stands_on_the_page():
    text = conditions.page(ROOT)
    assert all(f"`{reason}`" in text for reason in autoscale.WHY)
    assert all(f"`Rollout{phase}`" in text for phase in conditions.PHASES)
    assert all(f"`{reason}`" in text for reason in get_args(conditions.Reason))


def test_what_a_process_asks_for_is_found_by_letting_it_ask():
    found = environment.asked(environment.agent, (environment.MESH, environment.ENCRYPTED))
    assert found["SENTINEL_METRICS_PORT"] == "9465"
    assert "SENTINEL_MESH_CLUSTER" in found
    assert "SENTINEL_MESH_KEY" in found


def test_no_name_of_this_machine_stands_on_a_page():
    assert environment.os.uname().nodename not in environment.page()


def test_a_comment_speaks_of_the_value_below_it_however_deep():
    text = "a:\n  # -- First,\n  # and more.\n  b: {c: 1}\n# -- Second.\nd: []\n"
    assert list(chart.described(text)) == [("a.b", {"c": 1}, "First, and more."), ("d", [], "Second.")]


def test_a_value_without_a_word_is_refused():
    with pytest.raises(AssertionError, match=r"says nothing of a\.b"):
        list(chart.described("a:\n  b: 1\n"))


def test_metrics_of_all_three_programs_stand_on_the_page_with_unit_and_labels():
    rows = {line.split("`")[1]: line for line in metrics.page(ROOT).splitlines() if line.startswith("| `sentinel_")}
    assert "| counter | bytes | `interface`, `class` |" in rows["sentinel_class_bytes_total"]
    assert "| counter | bytes | `vip` |" in rows["sentinel_lb_vip_bytes_total"]
    assert "| gauge | % | `namespace`, `cluster` |" in rows["sentinel_scaling_coverage_percent"]


def test_a_label_that_nobody_explains_is_no_page():
    strange = metrics.Metric("sentinel_new", "gauge", ("client",), "New.")
    with pytest.raises(AssertionError, match="what the label client tells"):
        metrics._section([strange], metrics.AGENT_LABELS)
