"""`sentinel size`: sums that hold for every load, and a spec that the API takes."""

import json

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_cli.size import Load, size, sized, spec

G = 1e9
USUAL = ("--demand", "12G", "--burst-rate", "60Gbit", "--burst", "200ms", "--drain", "10G")
loads = st.builds(
    Load,
    demand=st.floats(1e6, 50 * G), burst_rate=st.floats(1e6, 200 * G), burst_s=st.floats(1e-3, 5.0),
    drain=st.floats(1 * G, 100 * G), max_delay_s=st.floats(1e-3, 0.2), rtt_s=st.floats(1e-4, 0.2),
    flows=st.integers(1, 10**6), headroom=st.floats(0.0, 1.0), profiles=st.just(("llm", "database")),
)  # fmt: skip


@given(loads)
def test_what_is_asked_for_holds(load):
    found = sized(load)
    assert found.nodes * load.drain >= load.demand * (1 + load.headroom) * 0.999_999
    assert found.burst_delay_ms <= 1000 * load.max_delay_s * 1.000_001
    assert found.pool_max_bytes >= found.burst_bytes + found.floor_bytes
    assert found.pool_min_bytes >= found.floor_bytes


@given(loads)
def test_the_api_takes_what_it_proposes(load):
    body = {"apiVersion": "sentinel.io/v1alpha1", "kind": "BufferCluster", "metadata": {"name": "front"}}
    assert BufferCluster.parse(body | {"spec": spec(load, sized(load))}).spec.nodes >= 3


@given(loads, st.floats(1.0, 4.0))
def test_a_larger_burst_never_needs_less(load, times):
    more = Load(**{name: getattr(load, name) for name in Load.__slots__} | {"burst_rate": load.burst_rate * times})
    assert sized(more).nodes >= sized(load).nodes


def test_a_load_by_hand():
    """60 Gbit/s for 200 ms on 5 nodes of 10: 2 Gbit/s too many, 50 MB a node, which drain in 40 ms."""
    result = CliRunner().invoke(size, [*USUAL, "--json"])
    told = json.loads(result.output)
    assert (told["nodes"], told["nodes_for_demand"], told["burst_bytes"]) == (5, 2, 50_000_000)
    assert told["burst_delay_ms"] == pytest.approx(40.0)


def test_words_and_spec_are_told_to_people():
    said = CliRunner().invoke(size, list(USUAL)).output
    assert "5 nodes, because of bursts: steady demand alone needs 2, bursts 5." in said
    assert yaml.safe_load(said.partition("\n\n")[2])["spec"]["nodes"] == 5


@pytest.mark.parametrize("rate", ["12X", "-1G", "", "0", "1..2G"])
def test_what_is_no_rate_is_refused_with_an_example(rate):
    result = CliRunner().invoke(size, ["--demand", rate, *USUAL[2:]])
    assert result.exit_code == 2
    assert "write it as 10G" in result.output


def test_what_no_cluster_can_carry_is_refused():
    result = CliRunner().invoke(size, ["--demand", "99T", *USUAL[2:6], "--drain", "1G"])
    assert isinstance(result.exception, Invalid)
    assert "nodes would be needed" in str(result.exception)
