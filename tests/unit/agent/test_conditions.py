"""What an agent says of itself in conditions: each kind with each of its reasons, in the words a person reads."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sentinel_agent import conditions
from sentinel_agent.node import Intent
from sentinel_agent.report import ready, status
from sentinel_api.errors import Invalid, Unsupported
from sentinel_api.v1alpha1.buffernode import Versions
from sentinel_api.v1alpha1.conditions import MAX_NODE_MESSAGE
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_bpf.buffer.port import Tier, Verdict
from sentinel_core.score import Marks
from support.agent_life import lived
from support.ticks import tick, with_lane

REFERENCE = Path(__file__).parents[3] / "docs/reference/conditions.md"
CONFIG = NodeConfig()
INTERFACES = [{"name": "eth0", "rateBitsPerSecond": 8_000_000}]
ENFORCE = NodeConfig.parse({"dataPlane": {"mode": "Enforce", "interfaces": INTERFACES}})
OBSERVE = NodeConfig.parse({"dataPlane": {"mode": "Observe"}})
FOREIGN = Verdict(Tier.OBSERVE, "foreign XDP program on eth0")
FEW, ENOUGH = CONFIG.model.gate.min_events - 1, CONFIG.model.gate.min_events


def said(made, config=CONFIG, *, fault="", model="", refused=""):
    """As (kind, status, reason, message), Ready included: all that a status can hold of a node that ticks."""
    loop = SimpleNamespace(lanes=[SimpleNamespace(fault=fault)], config=config)
    more = conditions.of(made, loop, config, model, refused)
    told = status(made, Versions(), "Active", *more).conditions
    return [(each.type, each.status, each.reason, each.message) for each in told]


def judged(alarms, trusted=False):
    marks = Marks(hits=alarms, misses=9, false_alarms=0, lead_s=None, brier=None, trusted=trusted)
    return with_lane(tick(), marks=marks)


def ticking(made):
    return ("Ready", "True", "Ticking", made.lanes[0].verdict.why)


TRUSTED = ("ModelReady", "True", "Trusted", "forecasts are acted on")

MODEL = {
    "learning": (
        judged(FEW), {},
        ("ModelReady", "Unknown", "Learning", f"{FEW} of {ENOUGH} alarms scored, reactive until then"),
    ),
    "below its gate": (
        judged(ENOUGH), {},
        ("ModelReady", "False", "BelowGate", "precision below 60 %, reactive meanwhile"),
    ),
    "trusted": (judged(ENOUGH, trusted=True), {}, TRUSTED),
    "trusted, though few were judged": (judged(0, trusted=True), {}, TRUSTED),
    "it failed, though trusted": (
        judged(ENOUGH, trusted=True), {"fault": "hazard is not finite"},
        ("ModelReady", "False", "ModelFailed", "hazard is not finite"),
    ),
    "refused, which comes before all": (
        judged(ENOUGH, trusted=True), {"fault": "slow", "model": "model.onnx has another digest"},
        ("ModelReady", "False", "ModelRefused", "model.onnx has another digest"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MODEL)
def test_the_model_is_ready_or_it_says_why_not(case):
    made, what, expected = MODEL[case]
    assert said(made, **what) == [ticking(made), expected]


PLANE = {
    "it may choose, and observes": (tick(verdict=FOREIGN), CONFIG, None),
    "it was told to observe": (tick(verdict=FOREIGN), OBSERVE, None),
    "it should enforce and does": (tick(), ENFORCE, None),
    "it should enforce and cannot": (tick(verdict=FOREIGN), ENFORCE, FOREIGN.why),
    "an interface is not steered": (with_lane(tick(), trouble="its queue is gone"), CONFIG, "eth0: its queue is gone"),
    "an interface is not there": (replace(tick(), blind={"eth1": "eth1 is gone"}), CONFIG, "eth1: eth1 is gone"),
}


@pytest.mark.parametrize("case", PLANE)
def test_the_data_plane_is_told_only_where_it_should_enforce_and_cannot(case):
    made, config, why = PLANE[case]
    expected = [("DataPlaneReady", "False", "Degraded", why)] if why else []
    assert [each for each in said(made, config) if each[0] == "DataPlaneReady"] == expected


def test_orders_that_were_refused_are_told_before_a_plane_that_cannot_enforce():
    """Three conditions at most: what a person must mend comes first."""
    told = said(tick(verdict=FOREIGN), ENFORCE, refused="two classes are called bulk")
    assert told[0] == ("Ready", "True", "Ticking", FOREIGN.why)
    assert told[2:] == [("ConfigAccepted", "False", "Refused", "two classes are called bulk")]


def test_what_is_too_long_is_cut_and_dated_by_the_wall_clock():
    found = ready(Verdict(Tier.OBSERVE, "x" * 1_000), 1_900_000_000 * 10**9)
    assert found.message == "x" * MAX_NODE_MESSAGE
    assert found.last_transition_time.timestamp() == 1_900_000_000


def last_words(monkeypatch, *todo, **life):
    told = lived(monkeypatch, *todo, **life)
    return told and [(each.type, each.status, each.reason, each.message) for each in told.conditions]


def refusing(error):
    def chosen(*_):
        raise error

    return chosen


ORDERS = Intent(CONFIG, generation=1)
REFUSED = ("ConfigAccepted", "False", "Refused")


def test_a_node_without_any_of_its_interfaces_is_not_ready_and_names_them_all(monkeypatch):
    told = last_words(monkeypatch, ORDERS, absent=("eth0", "eth1"))
    assert told == [("Ready", "False", "InterfaceGone", "eth0 is gone; eth1 is gone")]


def test_before_any_orders_there_is_nothing_to_say_unless_they_could_not_be_read(monkeypatch):
    assert last_words(monkeypatch) is None
    why = "ConfigMap default/front has another digest than ordered"
    assert last_words(monkeypatch, refused=why) == [(*REFUSED, why)]


@pytest.mark.parametrize("error", [Invalid("no interface is called eth7"), Unsupported("a loop is no interface")])
def test_orders_that_cannot_be_obeyed_are_told_and_end_nothing(monkeypatch, error):
    assert last_words(monkeypatch, ORDERS, chosen=refusing(error)) == [(*REFUSED, str(error))]


def test_orders_that_can_be_obeyed_again_take_the_refusal_back(monkeypatch):
    answers = iter([Invalid("no interface is called eth7"), None])

    def chosen(*_):
        if (error := next(answers)) is not None:
            raise error
        return ()

    assert last_words(monkeypatch, ORDERS, replace(ORDERS, generation=2), chosen=chosen) is None


def test_a_file_that_cannot_be_obeyed_ends_the_process(monkeypatch):
    with pytest.raises(Invalid, match="eth7"):
        last_words(monkeypatch, Intent(CONFIG), chosen=refusing(Invalid("no interface is called eth7")))


def test_a_node_that_was_handed_back_claims_nothing(monkeypatch):
    assert last_words(monkeypatch, replace(ORDERS, desired="Detached"), refused="the orders before") == []


def test_every_reason_of_the_reference_is_reached_above_and_no_other(monkeypatch):
    reached = {(kind, held, reason) for kind, held, reason, _ in (case[2] for case in MODEL.values())}
    reached |= {each[:3] for case in PLANE.values() for each in said(*case[:2])}
    reached |= {each[:3] for each in last_words(monkeypatch, ORDERS, absent=("eth0",))}
    reached |= {each[:3] for each in last_words(monkeypatch, refused="unreadable")}
    nodes = REFERENCE.read_text().split("## Of a BufferNode")[1].split("\n## ")[0]
    documented = {
        (kind, held, reason)
        for kind, rows in re.findall(r"### `(\w+)`\n(.*?)(?=\n### |\Z)", nodes, re.DOTALL)
        for held, reason in re.findall(r"^\| (\w+) \| `(\w+)` \|", rows, re.MULTILINE)
    }
    assert reached == documented
