"""Two clusters that ask for one node: the older wins, and says nothing; the younger says who has it."""

import pytest

from sentinel_operator.decide import claims
from support.worlds import buffer_node, cluster, node, world

OLD = cluster("old", born_minutes_ago=60)
YOUNG = cluster("young", born_minutes_ago=1)


def test_the_older_cluster_wins():
    assert [n.name for n in claims.claimed(world(of=OLD, rivals=[YOUNG], nodes=[node("n0")]))] == ["n0"]
    assert claims.claimed(world(of=YOUNG, rivals=[OLD], nodes=[node("n0")])) == ()


def test_the_younger_one_learns_who_has_the_node():
    assert claims.lost(world(of=YOUNG, rivals=[OLD], nodes=[node("n0")])) == {"n0": "default/old"}


def test_a_node_in_use_never_changes_hands():
    held = world(of=OLD, rivals=[YOUNG], nodes=[node("n0")], buffer_nodes=[buffer_node("n0", YOUNG)])
    assert claims.claimed(held) == ()


def test_a_node_held_by_a_cluster_that_is_gone_is_free():
    held = world(of=OLD, nodes=[node("n0")], buffer_nodes=[buffer_node("n0", cluster("gone"))])
    assert [n.name for n in claims.claimed(held)] == ["n0"]


def test_clusters_that_ask_for_other_labels_do_not_meet():
    blue = cluster("blue", born_minutes_ago=90, agent={"nodeSelector": {"pool": "blue"}})
    here = world(of=YOUNG, rivals=[blue], nodes=[node("n0", pool="green")])
    assert [n.name for n in claims.claimed(here)] == ["n0"]


@pytest.mark.parametrize("role", ["edge", ""])
def test_a_node_without_the_role_is_nobodys(role):
    assert claims.claimed(world(of=OLD, nodes=[node("n0", role)])) == ()
