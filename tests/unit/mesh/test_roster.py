"""The roster believes what is new and well-formed; everything else it counts, and it never breaks."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.records import Beat, NodeState, Role, Tier
from sentinel_api.wire import pack_beat, pack_state
from sentinel_mesh.keys import Keys
from sentinel_mesh.membership import LATE_NS, PERIOD_NS, SILENT_NS, Level, Probe
from sentinel_mesh.pulse import LEAST_PERIODS
from sentinel_mesh.pulse import PERIOD_NS as BEAT_NS
from sentinel_mesh.refusal import Refusal
from sentinel_mesh.roster import FORGOTTEN_NS, MEMBERS_MAX, TOKENS_MAX, Roster

T0 = 10**12
KEYS = Keys("c")
FIRST = NodeState(incarnation=1_800_000_000, seq=1, tier=Tier.B, role=Role.BUFFER)
SAMPLES = Path(__file__).parents[2] / "data/wire"


@pytest.fixture
def roster():
    return Roster("me")


def tell(roster, raw, now_ns=T0, node="n1"):
    roster.told(KEYS.state(node), len(raw), lambda: raw, now_ns)


def vouch(roster, now_ns=T0, node="n1", incarnation=FIRST.incarnation, *, alive=True):
    roster.vouched(KEYS.token(node, incarnation), alive=alive, now_ns=now_ns)


def state(**change):
    return pack_state(replace(FIRST, **change))


def test_a_node_is_alive_from_its_first_state_on_and_its_state_is_there(roster):
    vouch(roster)
    assert roster.view(T0).level("n1") is Level.SUSPECTED
    tell(roster, state(load=0.5), T0 + 1)
    member = roster.view(T0 + 2).members["n1"]
    assert (member.level, member.state.load, member.heard_ns) == (Level.ALIVE, 0.5, T0 + 1)


def test_a_view_stays_as_it_was(roster):
    vouch(roster)
    tell(roster, state())
    before = roster.view(T0)
    vouch(roster, T0 + 1, alive=False)
    assert before.level("n1") is Level.ALIVE
    with pytest.raises(TypeError):
        before.members["n2"] = before.members["n1"]


REFUSED = {
    "garbage": (b"\xff" * 200, Refusal.GARBAGE),
    "nothing": (b"", Refusal.GARBAGE),
    "cut": (state()[:-1], Refusal.GARBAGE),
    "another record": (bytes.fromhex((SAMPLES / "alarm-v1.hex").read_text()), Refusal.GARBAGE),
    "wrong version": (bytes.fromhex((SAMPLES / "state-v2.hex").read_text()), Refusal.UNKNOWN_VERSION),
    "oversize": (state() + bytes(300), Refusal.OVERSIZE),
    "replayed": (state(), Refusal.REPLAYED),
    "overtaken": (state(seq=0), Refusal.REPLAYED),
    "of an older process": (state(incarnation=FIRST.incarnation - 3600, seq=99), Refusal.REPLAYED),
}


@pytest.mark.parametrize(("raw", "refusal"), REFUSED.values(), ids=REFUSED)
def test_bad_records_are_counted_and_change_nothing(roster, raw, refusal):
    vouch(roster)
    tell(roster, state())
    before = roster.view(T0)
    tell(roster, raw, T0 + 1)
    after = roster.view(T0 + 1)
    assert after.members == before.members
    assert after.refused == {refusal: 1}


def test_too_many_bytes_are_not_even_read(roster):
    def read():
        raise AssertionError("read")

    roster.told(KEYS.state("n1"), 10**9, read, T0)
    assert roster.view(T0).refused == {Refusal.OVERSIZE: 1}


@pytest.mark.parametrize("key", ["", "sentinel/c", "sentinel/c//state", "sentinel/c/a b/state"])
def test_strange_keys_are_counted(roster, key):
    roster.told(key, 1, lambda: b"x", T0)
    roster.vouched(key, alive=True, now_ns=T0)
    assert roster.view(T0).refused == {Refusal.STRANGE_KEY: 2}


def test_nobody_else_speaks_under_our_name(roster):
    tell(roster, state(), node="me")
    vouch(roster, node="me")
    view = roster.view(T0)
    assert view.refused == {Refusal.IMPOSTOR: 1}
    assert not view.members


def test_replays_keep_nobody_alive(roster):
    vouch(roster)
    for now_ns in range(T0, T0 + 2 * SILENT_NS, PERIOD_NS):
        tell(roster, state(), now_ns)
    assert roster.view(now_ns).level("n1") is Level.SUSPECTED


def test_an_agent_that_falls_silent_is_headless_where_the_node_answers_and_dead_where_not(roster):
    vouch(roster)
    tell(roster, state())
    late_ns = T0 + SILENT_NS + 1
    assert roster.view(T0 + LATE_NS + 1).level("n1") is Level.SUSPECTED
    assert roster.view(late_ns, {"n1": Probe.GOOD}).level("n1") is Level.HEADLESS
    assert roster.view(late_ns, {"n1": Probe.FAILING}).level("n1") is Level.DEAD
    assert roster.view(late_ns).level("n1") is Level.SUSPECTED


def beat(roster, seq, now_ns, *nodes, awake_ns=None, incarnation=FIRST.incarnation):
    """Beats of these nodes, heard in one step of the watch."""
    raw = pack_beat(Beat(incarnation, seq, BEAT_NS // 1_000_000))
    heard = [(KEYS.beat(node), len(raw), lambda: raw) for node in nodes]
    roster.beaten(heard, now_ns, now_ns if awake_ns is None else awake_ns)


OVERDUE_NS = int(LEAST_PERIODS * BEAT_NS) + BEAT_NS


def beating(roster, beats=10):
    """A node that told a state and beats; the time of its last beat."""
    tell(roster, state())
    for seq in range(beats):
        beat(roster, seq, T0 + seq * BEAT_NS, "n1")
    return T0 + (beats - 1) * BEAT_NS


def test_a_node_whose_beats_end_is_suspected_long_before_its_state_is_late(roster):
    last_ns = beating(roster, 4)
    beat(roster, 0, last_ns + OVERDUE_NS)
    assert last_ns + OVERDUE_NS < T0 + LATE_NS
    assert roster.view(last_ns + OVERDUE_NS).level("n1") is Level.SUSPECTED


def test_nobody_is_suspected_while_the_watcher_itself_stands_still(roster):
    last_ns = beating(roster, 4)
    beat(roster, 0, last_ns + OVERDUE_NS, awake_ns=last_ns + BEAT_NS)
    assert roster.view(last_ns + OVERDUE_NS).level("n1") is Level.ALIVE


@pytest.mark.parametrize("silence_ns", [0, BEAT_NS, OVERDUE_NS, LATE_NS + 1, 2 * SILENT_NS])
@pytest.mark.parametrize("probe", Probe)
def test_whoever_asks_only_for_the_silent_hears_what_a_view_says(roster, silence_ns, probe):
    now_ns = beating(roster, 4) + silence_ns
    beat(roster, 0, now_ns)
    silent = roster.silent(now_ns)
    assert silent == ({"n1"} if silence_ns >= OVERDUE_NS else frozenset())
    assert roster.view(now_ns, {"n1": probe}).members["n1"].speaks == (not silent)


def test_who_fell_lately_is_suspected_though_he_speaks_again(roster):
    last_ns = beating(roster, 4)
    beat(roster, 99, last_ns + OVERDUE_NS, "n1")
    member = roster.view(last_ns + OVERDUE_NS).members["n1"]
    assert (member.level, member.speaks) == (Level.SUSPECTED, True)
    assert not roster.silent(last_ns + OVERDUE_NS)


def test_states_are_not_late_while_the_watcher_itself_stands_still(roster):
    tell(roster, state())
    beat(roster, 0, T0, awake_ns=T0)
    held_ns = LATE_NS + BEAT_NS
    assert roster.view(T0 + held_ns).level("n1") is Level.ALIVE, "nobody looked since: the watcher was held up"
    beat(roster, 0, T0 + held_ns, awake_ns=T0 + BEAT_NS)
    assert roster.view(T0 + held_ns).level("n1") is Level.ALIVE
    awake_ns = T0 + held_ns + LATE_NS
    beat(roster, 0, awake_ns, awake_ns=awake_ns - held_ns + BEAT_NS)
    assert roster.view(awake_ns).level("n1") is Level.SUSPECTED, "the node had its whole time, and said nothing"


def test_whoever_is_gone_stays_so_however_late_the_watcher_is(roster):
    vouch(roster)
    tell(roster, state())
    beat(roster, 0, T0, awake_ns=T0)
    vouch(roster, T0 + 1, alive=False)
    beat(roster, 0, T0 + LATE_NS, awake_ns=T0 + 2)
    assert roster.silent(T0 + LATE_NS) == {"n1"}


def test_a_gap_between_beats_counts_as_a_fall_even_when_nobody_looked(roster):
    last_ns = beating(roster, 4)
    beat(roster, 99, last_ns + OVERDUE_NS, "n1")
    assert roster.view(last_ns + OVERDUE_NS).level("n1") is Level.SUSPECTED


def test_states_that_go_on_without_beats_are_believed_in_the_end(roster):
    beating(roster)
    for seq in range(2, 20):
        now_ns = T0 + seq * PERIOD_NS
        tell(roster, state(seq=seq), now_ns)
        beat(roster, 0, now_ns)
    assert roster.view(now_ns).level("n1") is Level.ALIVE


def test_replayed_beats_keep_nobody_alive_and_are_counted(roster):
    last_ns = beating(roster, 4)
    for now_ns in range(last_ns, last_ns + OVERDUE_NS + 1, BEAT_NS):
        beat(roster, 3, now_ns, "n1")
        beat(roster, 500, now_ns, "n1", incarnation=FIRST.incarnation - 3600)
    view = roster.view(now_ns)
    assert view.level("n1") is Level.SUSPECTED
    assert set(view.refused) == {Refusal.REPLAYED}


def test_beats_alone_make_no_member(roster):
    beat(roster, 1, T0, "n1", "n2")
    assert not roster.view(T0).members


def test_the_beats_of_a_new_process_are_its_own(roster):
    last_ns = beating(roster)
    tell(roster, state(incarnation=FIRST.incarnation + 1), last_ns)
    beat(roster, 1, last_ns, "n1", incarnation=FIRST.incarnation + 1)
    assert not roster.view(last_ns).refused
    beat(roster, 0, last_ns + OVERDUE_NS)
    assert roster.view(last_ns + OVERDUE_NS).level("n1") is Level.SUSPECTED


@pytest.mark.parametrize(
    ("key", "raw", "refusal"),
    [
        ("sentinel/c/a b/beat", b"x", Refusal.GARBAGE),
        (KEYS.beat("n1"), b"\xff" * 14, Refusal.GARBAGE),
        (KEYS.beat("n1"), bytes(1 << 16), Refusal.OVERSIZE),
        (KEYS.beat("n1"), bytes.fromhex((SAMPLES / "beat-v2.hex").read_text()), Refusal.UNKNOWN_VERSION),
    ],
)
def test_bad_beats_are_counted(roster, key, raw, refusal):
    beating(roster)
    roster.beaten([(key, len(raw), lambda: raw)], T0, T0)
    assert roster.view(T0).refused == {refusal: 1}


def test_a_gap_counts_as_a_fall_even_when_nobody_looked(roster):
    vouch(roster)
    tell(roster, state())
    tell(roster, state(seq=2), T0 + 3 * LATE_NS)
    assert roster.view(T0 + 3 * LATE_NS).level("n1") is Level.SUSPECTED


def test_the_end_of_the_old_process_does_not_take_the_new_one_down(roster):
    vouch(roster)
    tell(roster, state())
    new = FIRST.incarnation + 5
    vouch(roster, T0 + 1, incarnation=new)
    tell(roster, state(incarnation=new), T0 + 2)
    vouch(roster, T0 + 3, alive=False)
    assert roster.view(T0 + 3).level("n1") is Level.ALIVE


def test_a_process_that_renews_its_certificate_has_two_sessions_and_is_never_gone(roster):
    tell(roster, state())
    for generation in (0, 1):
        roster.vouched(KEYS.token("n1", FIRST.incarnation, generation), alive=True, now_ns=T0)
    vouch(roster, T0 + 1, alive=False)
    assert roster.view(T0 + 1).level("n1") is Level.ALIVE
    roster.vouched(KEYS.token("n1", FIRST.incarnation, 1), alive=False, now_ns=T0 + 2)
    assert roster.view(T0 + 2).level("n1") is Level.SUSPECTED


def test_a_process_whose_clock_was_set_back_an_hour_is_heard_again_once_the_engine_vouches_for_it(roster):
    vouch(roster)
    tell(roster, state(seq=500))
    vouch(roster, T0 + 1, alive=False)
    back = FIRST.incarnation - 3600
    tell(roster, state(incarnation=back), T0 + 2)
    assert roster.view(T0 + 2).refused == {Refusal.REPLAYED: 1}
    vouch(roster, T0 + 3, incarnation=back)
    tell(roster, state(incarnation=back, seq=2), T0 + 4)
    assert roster.view(T0 + 4).members["n1"].state.incarnation == back
    tell(roster, state(seq=501), T0 + 5)
    assert roster.view(T0 + 5).members["n1"].state.seq == 501, "the newer process, should it still be there, wins"


def test_states_outweigh_an_engine_that_did_not_tell_of_a_return(roster):
    vouch(roster)
    tell(roster, state())
    vouch(roster, T0 + 1, alive=False)
    assert roster.view(T0 + 1).level("n1") is Level.SUSPECTED
    for seq in range(2, 8):
        tell(roster, state(seq=seq), T0 + seq * PERIOD_NS)
    assert roster.view(T0 + seq * PERIOD_NS).level("n1") is Level.ALIVE


def test_one_state_is_not_enough_to_be_believed_again(roster):
    vouch(roster)
    tell(roster, state())
    vouch(roster, T0 + 1, alive=False)
    vouch(roster, T0 + 2)
    tell(roster, state(seq=2), T0 + 2)
    for now_ns in range(T0 + 2, T0 + 3 * LATE_NS, PERIOD_NS // 10):
        assert roster.view(now_ns).level("n1") is Level.SUSPECTED


def test_those_who_left_are_forgotten_after_a_while(roster):
    vouch(roster)
    tell(roster, state())
    vouch(roster, T0 + 1, alive=False)
    assert roster.view(T0 + 1 + FORGOTTEN_NS).level("n1") is Level.SUSPECTED
    assert not roster.view(T0 + 2 + FORGOTTEN_NS).members


def test_a_crowd_of_strangers_fills_no_memory(roster):
    for number in range(MEMBERS_MAX + 5):
        tell(roster, state(), node=f"n{number}")
    for number in range(TOKENS_MAX + 2):
        vouch(roster, incarnation=number)
    vouch(roster, node="late")
    view = roster.view(T0)
    assert len(view.members) == MEMBERS_MAX
    assert view.refused == {Refusal.CROWDED: 5 + 2 + 1}


@given(st.lists(st.tuples(st.text(max_size=40), st.binary(max_size=320), st.booleans()), max_size=20))
def test_whatever_a_stranger_sends_is_counted_or_believed(sent):
    roster = Roster("me")
    for key, raw, alive in sent:
        roster.told(key, len(raw), lambda raw=raw: raw, T0)
        roster.told(KEYS.state("n1"), len(raw), lambda raw=raw: raw, T0)
        roster.vouched(key, alive=alive, now_ns=T0)
    view = roster.view(T0)
    assert sum(view.refused.values()) + len(view.members) >= len(sent)
