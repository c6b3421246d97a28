"""A write that is refused comes again later and later, and is in no other's way."""

import asyncio
from itertools import pairwise

import pytest

from sentinel_api.errors import Invalid, Transient
from sentinel_operator.objects import Key
from sentinel_operator.refusals import MOST_A_LOOK, Refusals, Write


class Server:
    """Refuses or fails what it is told to, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.answers = {}
        self.now_s = 0.0
        self.refusals = Refusals(lambda: self.now_s)

    def look(self, *, verbs=("apply",), **wanted):
        def write(verb, name, value):
            async def send():
                self.asked.append(name)
                if name in self.answers:
                    raise self.answers[name]

            return Write(verb, Key("v1", "ConfigMap", "", name), value, send)

        writes = [write(verb, name, value) for verb in verbs for name, value in wanted.items()]
        self.asked.clear()
        done = asyncio.run(self.refusals.carry_out(writes))
        self.refusals.forget_others(writes)
        return done, list(self.asked)


@pytest.fixture
def server():
    return Server()


def test_a_refusal_holds_up_no_other_and_is_told(server):
    server.answers["a"] = Invalid("not allowed")
    assert server.look(a=1, b=1) == (False, ["a", "b"])
    assert server.refusals.told == "not allowed"


def test_it_is_tried_again_after_pauses_that_grow_to_two_minutes(server):
    server.answers["a"] = Invalid("not allowed")
    tried = []
    for server.now_s in range(1000):
        tried += [server.now_s] * len(server.look(a=1)[1])
    pauses = [later - sooner for sooner, later in pairwise(tried)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, *[120] * len(pauses[7:])]
    assert pauses[7:]


def test_something_else_is_tried_at_once(server):
    server.answers["a"] = Invalid("not allowed")
    server.look(a=1)
    assert server.look(a=1) == (False, [])
    assert server.look(a=2) == (False, ["a"])


def test_what_is_accepted_or_no_longer_asked_for_is_refused_no_more(server):
    server.answers = {"a": Invalid("not allowed"), "b": Invalid("nor this")}
    server.look(a=1, b=1)
    assert server.refusals.told == "not allowed (1 more are refused)"
    server.look(b=1)
    assert server.refusals.told == "nor this"
    server.answers.clear()
    server.now_s = 60.0
    assert server.look(b=1) == (True, ["b"])
    assert server.refusals.told == ""


def test_of_a_thousand_that_are_refused_a_look_asks_for_a_few(server):
    names = [f"n{number}" for number in range(1000)]
    server.answers = {name: Invalid("not allowed") for name in names}
    done, asked = server.look(**dict.fromkeys(names, 1))
    assert (done, asked) == (False, names[:MOST_A_LOOK])
    assert server.look(**dict.fromkeys(names, 1))[1] == names[MOST_A_LOOK : 2 * MOST_A_LOOK], "each has its turn"


def test_one_verb_that_is_refused_leaves_the_others_their_turn(server):
    names = [f"n{number}" for number in range(10)]
    server.answers = {name: Invalid("not allowed") for name in names}
    asked = server.look(verbs=("apply", "role"), **dict.fromkeys(names, 1))[1]
    assert asked == 2 * names[:MOST_A_LOOK]


def test_what_fails_for_now_ends_it(server):
    server.answers["a"] = Transient("busy")
    with pytest.raises(Transient):
        server.look(a=1, b=1)
    assert server.asked == ["a"]
    assert server.refusals.told == ""
