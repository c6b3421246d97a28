"""Which samples a comparison takes, and that none of them is a dirty one."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sentinel_api.errors import Invalid
from sentinel_lab.bench import burst
from sentinel_lab.bench.burst_samples import Asked, Kept, plans, row_of
from sentinel_lab.experiment import Plan, check
from sentinel_lab.policies import CONTROLS, NAMES
from sentinel_lab.scenario import SINGLE
from sentinel_lab.seasoning import PAST_S

THREE_HOURS_MIN = 180


def asked(**options) -> Asked:
    nothing = {"patterns": (), "chosen": (), "seconds": None, "rounds": None, "pools_mib": ()}
    switches = {"quick": False, "reference": False, "sweep": False, "keep": None, "traces": None, "round_trip_ms": 0.0}
    found, _ = burst._asked(**(nothing | switches | options))
    return found


def carried_out(monkeypatch, *dirt: str) -> tuple[list[dict], list[dict]]:
    """What is made of one plan whose runs end so, in order."""
    runs = iter(dirt)

    def run(_plan: Plan) -> SimpleNamespace:
        why = next(runs)
        return SimpleNamespace(dirt=(why,) if why else (), figures=lambda: {"dirt": [why] if why else []})

    monkeypatch.setattr(burst.experiment, "carried_out", run)
    return burst._taken([Plan(SINGLE, "periodic", "static-small", 1.0)], Kept(None, ""))


def test_a_dirty_sample_is_refused_and_taken_again(monkeypatch):
    rows, refused = carried_out(monkeypatch, "the sender was late", "")
    assert [each["dirt"] for each in rows] == [[]]
    assert [each["dirt"] for each in refused] == [["the sender was late"]]


def test_a_sample_that_is_never_clean_is_in_no_figure(monkeypatch):
    rows, refused = carried_out(monkeypatch, *["a packet was lost"] * burst.ATTEMPTS)
    assert rows == []
    assert len(refused) == burst.ATTEMPTS


def test_the_whole_with_its_traces_fits_into_three_hours_and_has_every_policy():
    found = list(plans(asked(traces=Path("traces"))))
    assert {each.policy for each in found} == set(NAMES)
    assert sum(each.pattern.startswith("trace:") for each in found) > 0
    assert sum(each.seconds + burst.SETTLING_SECONDS for each in found) / 60 < THREE_HOURS_MIN


def test_controls_have_one_round_of_the_whole_and_as_many_as_asked_for_by_name():
    assert {each.seed for each in plans(asked()) if each.policy in CONTROLS} == {0}
    assert {each.seed for each in plans(asked(chosen=("threshold",)))} == {0, 1, 2}


def test_a_round_trip_is_the_same_for_every_sample_and_one_that_cannot_be_made_is_refused():
    found = list(plans(asked(round_trip_ms=20.0)))
    assert {each.round_trip_ms for each in found} == {20.0}
    with pytest.raises(Invalid, match="delay of -1 ms"):
        check(replace(found[0], round_trip_ms=-1.0))


def test_all_policies_are_sent_the_same_part_of_a_trace():
    found = [each for each in plans(asked(traces=Path("traces"))) if each.pattern.startswith("trace:")]
    assert {each.past_s for each in found} == {PAST_S}


def test_where_a_trace_lay_is_told_nowhere():
    plan = Plan(SINGLE, "trace:/some/where/web.csv.gz", "static-small", 1.0)
    assert row_of({"pattern": plan.pattern}, plan) == {"pattern": "trace:web.csv.gz", "name": "web"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--pattern", "trace:/some/where/web.csv.gz@10"], "--pattern trace:web.csv.gz@10"),
        (["--traces", "/some/where/traces/"], "--traces traces"),
        (["--save", "docs/x.json"], "--save docs/x.json"),
    ],
)
def test_a_command_is_told_without_the_folder_of_its_traces(given, told):
    assert burst._command(given) == f"sentinel {told}"
