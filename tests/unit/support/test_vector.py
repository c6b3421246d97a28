"""The configuration for Vector: labels with few values only, and every part fed by one that is there."""

import re
from pathlib import Path

import yaml

from sentinel_operator.render.base import labels

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "deploy/logs/vector.yaml").read_text())
FEW = {"cluster", "component", "level"}


def test_only_what_has_few_values_is_a_label():
    loki = CONFIG["sinks"]["loki"]
    assert set(loki["labels"]) == FEW
    assert not FEW & set(loki["structured_metadata"])


def test_every_input_is_a_part_of_the_same_file():
    parts = {**CONFIG["sources"], **CONFIG["transforms"], **CONFIG["sinks"]}
    for part in parts.values():
        assert set(part.get("inputs", ())) <= set(parts)


def test_every_template_is_set_before():
    source = CONFIG["transforms"]["lines"]["source"]
    used = re.findall(r"\{\{ (\w+)", str(CONFIG["sinks"]["loki"]))
    assert used
    assert all(re.search(rf"\.{name}\b", source) for name in used)


def test_the_pods_it_reads_are_those_that_there_are():
    chosen = CONFIG["sources"]["sentinel"]["extra_label_selector"]
    found = set(re.search(r"\((.*)\)", chosen)[1].split(", "))
    owner = type("Owner", (), {"name": "front", "label": "front"})
    made = {labels(owner, component)["app.kubernetes.io/name"] for component in ("agent", "balancer")}
    assert found == made | {"sentinel-operator"}
