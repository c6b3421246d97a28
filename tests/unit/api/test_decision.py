"""The decision record: one sentence for people, one JSON for machines."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.decision import Alternative, Decision, inputs_digest
from sentinel_api.errors import Invalid

VALUES = st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=9))
WORDS = st.text(min_size=1, max_size=20)
ALTERNATIVES = st.fixed_dictionaries({"policy": WORDS, "value": VALUES, "why": st.text(max_size=9)})
DECISIONS = st.fixed_dictionaries(
    {
        "inputs_digest": st.binary(max_size=9).map(inputs_digest),
        "policy": WORDS,
        "knob": WORDS,
        "subject": st.text(max_size=9),
        "old": VALUES,
        "new": VALUES,
        "unit": st.sampled_from(["bytes", "bytes/s", "nodes", ""]),
        "reason": WORDS,
        "alternatives": st.lists(ALTERNATIVES, max_size=3),
        "decided_at_millis": st.integers(0, 2**48),
        "expires_at_millis": st.integers(0, 2**48),
    }
).map(Decision.model_validate)
GROWN = Decision(
    inputs_digest=inputs_digest(b"sample 7"),
    policy="forecast",
    knob="buffer",
    subject="llm",
    old=262_144,
    new=1_572_864,
    unit="bytes",
    reason="a burst of 1.4 MiB is 83 % likely within 2 s",
    alternatives=(Alternative(policy="reactive", value=262_144, why="no pressure yet"),),
    decided_at_millis=1_000,
    expires_at_millis=1_500,
)


def test_the_sentence_says_what_moved_why_for_how_long_and_what_else_could_have_been():
    assert GROWN.sentence() == (
        "buffer of llm goes from 256.0 KiB to 1.5 MiB (forecast, for 0.5 s): a burst of 1.4 MiB is 83 % likely "
        "within 2 s; otherwise reactive 256.0 KiB (no pressure yet)"
    )


def test_a_knob_that_was_left_alone_is_said_to_stay():
    kept = GROWN.model_copy(update={"new": GROWN.old, "alternatives": (), "subject": "", "reason": "calm"})
    assert kept.sentence() == "buffer stays at 256.0 KiB (forecast, for 0.5 s): calm"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (3, "nodes", "3 nodes"),
        (0.5, "", "0.5"),
        (0.25, "weight", "0.25 weight"),
        ("withdrawn", "", "withdrawn"),
        (1023, "bytes", "1023 B"),
        (2048, "bytes/s", "2.0 KiB/s"),
        (5 << 50, "bytes", "5120.0 TiB"),
    ],
)
def test_values_are_shown_with_their_unit(value, unit, shown):
    assert (
        f"goes from before to {shown} ("
        in GROWN.model_copy(update={"old": "before", "new": value, "unit": unit}).sentence()
    )


@given(DECISIONS)
def test_json_gives_back_the_same_decision(decision):
    back = Decision.from_json(decision.to_json())
    assert back == decision
    assert type(back.new) is type(decision.new)


@given(DECISIONS)
def test_a_sentence_is_one_line(decision):
    assert len(decision.sentence().splitlines()) == 1


def test_json_is_in_the_spelling_of_kubernetes_objects():
    assert set(json.loads(GROWN.to_json())) == {
        "inputsDigest", "policy", "knob", "subject", "old", "new", "unit", "reason", "alternatives",
        "decidedAtMillis", "expiresAtMillis",
    }  # fmt: skip


def test_fields_of_a_newer_writer_are_ignored():
    newer = {**json.loads(GROWN.to_json()), "mood": "hopeful"}
    assert Decision.from_json(json.dumps(newer)) == GROWN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Invalid JSON"),
        ("[]", "the text"),
        ("{}", "inputsDigest: Field required"),
        (GROWN.to_json().replace(GROWN.inputs_digest, "xyz"), "inputsDigest"),
        (GROWN.to_json().replace('"policy":"reactive"', '"policy":""'), "alternatives.0.policy"),
    ],
)
def test_what_is_no_decision_is_refused_with_the_field_at_fault(text, says):
    with pytest.raises(Invalid, match=says):
        Decision.from_json(text)


def test_a_decision_is_void_from_the_instant_of_its_expiry():
    assert not GROWN.expired(1_499)
    assert GROWN.expired(1_500)


def test_equal_inputs_have_equal_digests_and_others_do_not():
    assert inputs_digest(b"a") == inputs_digest(b"a") != inputs_digest(b"b")
