"""Which nodes of a borrowed cluster are used, and what is refused of it."""

from pathlib import Path

import pytest

from support.cluster import existing
from support.cluster.errors import Unavailable


def item(name, *labels):
    return {"metadata": {"name": name, "labels": dict.fromkeys(labels, "")}}


def test_nodes_of_the_control_plane_come_last() -> None:
    items = [item("main", existing.CONTROL_PLANE_LABEL), item("a"), item("b")]
    assert existing.workers(items, 2) == ("a", "b")
    assert existing.workers(items, 3) == ("a", "b", "main")


def test_too_few_nodes_are_counted_in_the_refusal() -> None:
    with pytest.raises(Unavailable, match="has 1 nodes and this test needs 2: add some"):
        existing.workers([item("a")], 2)


def test_no_kubeconfig_is_refused(monkeypatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(Unavailable, match="KUBECONFIG is not set: let it name"):
        existing.check()


def test_a_kubeconfig_that_is_no_file_is_refused(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    with pytest.raises(Unavailable, match="which is no file"):
        existing.check()
