"""A mesh with certificates: who has none of ours is not heard, nobody speaks for another, renewal goes unnoticed."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import zenoh

from sentinel_api.errors import Invalid, Transient
from sentinel_api.records import Digest, NodeState, Role, Tier
from sentinel_api.wire import pack_digest, pack_state, unpack_state
from sentinel_lab.bench.mesh_authority import Authority
from sentinel_mesh import certificates
from sentinel_mesh.credentials import Credentials
from sentinel_mesh.engine import Router
from sentinel_mesh.engine_config import settings
from sentinel_mesh.keys import Keys
from sentinel_mesh.mesh import Burst, Mesh
from sentinel_mesh.place import Place
from sentinel_mesh.refusal import Refusal
from sentinel_mesh.roster import Roster
from sentinel_mesh.summary import Summary
from sentinel_operator import authority as authorities

PATIENCE_S = 240
NAMES = ("n1", "n2", "n3")
# All of 127/8 is this machine; an address of this process alone leaves the ports of others free.
HOME = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
PEERS = tuple(f"tls/{HOME}.{number}:7447" for number in range(1, 4))
KEYS, EAST = Keys("c"), Keys("c", "east")
STATE = NodeState(incarnation=7, seq=1, tier=Tier.B, role=Role.BUFFER)


def until(fact):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := fact()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def place(name, credentials, members=NAMES):
    listen = (PEERS[int(name[1]) - 1],)
    return Place("c", name, STATE.incarnation, listen, PEERS, credentials=credentials, members=members)


class Node:
    """A member that tells a state as often as `speak` is called."""

    def __init__(self, where, **more):
        self.mesh = Mesh(where, lambda _told, seq: replace(STATE, seq=seq), **more)

    def speak(self):
        self.mesh.offer(True)

    def hears(self, name):
        member = self.mesh.view().members.get(name)
        return member.state if member is not None else None

    def refused(self, refusal):
        return self.mesh.view().refused.get(refusal, 0)


class Hearing(Roster):
    """Remembers the number of every state."""

    def __init__(self, own):
        super().__init__(own)
        self.numbers = set()

    def told(self, key, size, read, now_ns):
        self.numbers.add(unpack_state(read()).seq)
        super().told(key, size, read, now_ns)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def node():
    nodes = []

    def start(*arguments, **more):
        nodes.append(Node(*arguments, **more))
        return nodes[-1]

    yield start
    for each in nodes:
        each.mesh.close()


class Speaker:
    """Whoever has these credentials, and says what he likes to the first member, or to a router of a zone."""

    def __init__(self, credentials, ends=PEERS[:1], keys=KEYS):
        self.keys = keys
        config = zenoh.Config()
        chosen = settings(place("n3", credentials, None)) | {"listen/endpoints": (), "connect/endpoints": ends}
        for key, value in chosen.items():
            config.insert_json5(key, json.dumps(value))
        self.session = zenoh.open(config)

    def connected(self):
        return bool(self.session.info.links())

    def says(self, name, state):
        self.session.put(self.keys.state(name), pack_state(state))


@pytest.fixture
def speaker():
    speakers = []

    def start(credentials, *where):
        speakers.append(Speaker(credentials, *where))
        return speakers[-1]

    yield start
    for each in speakers:
        each.session.close()


def test_members_with_certificates_hear_each_other_and_their_alarms(authority, node):
    one, two = (node(place(name, authority.issue(name))) for name in NAMES[:2])
    until(lambda: two.speak() or one.hears("n2"))
    two.mesh.alarm(Burst(traffic_class=3, magnitude_bytes=1000))
    (heard,) = until(one.mesh.alarms)
    assert (heard.alarm.origin, heard.alarm.traffic_class, heard.alarm.magnitude_bytes) == ("n2", 3, 1000)


def test_nobody_is_let_in_whose_certificate_is_not_of_our_authority_or_has_expired(
    authority, node, speaker, tmp_path_factory
):
    one = node(place("n1", authority.issue("n1")))
    foreign = Authority(tmp_path_factory.mktemp("foreign"), "foreign").issue("n2")
    # They would take our word for who we are; it is we who do not take theirs.
    strangers = [
        speaker(replace(foreign, ca=authority.issue("n1").ca)),
        speaker(authority.issue("n2", timedelta(hours=-1), "expired")),
    ]
    for stranger in strangers:
        stranger.says("n2", STATE)
    two = node(place("n2", authority.issue("n2")))
    until(lambda: two.speak() or one.hears("n2"))
    for stranger in strangers:
        stranger.says("n2", replace(STATE, incarnation=99))
        assert not stranger.connected()
    heard = one.hears("n2").seq
    until(lambda: two.speak() or one.hears("n2").seq > heard)
    assert one.hears("n2").incarnation == STATE.incarnation


def test_a_member_is_heard_under_its_own_name_only_and_its_replays_are_counted(authority, node, speaker):
    one = node(place("n1", authority.issue("n1")))
    two = speaker(authority.issue("n2"))
    until(two.connected)

    def both():
        two.says("n3", STATE)
        two.says("n2", STATE)
        return one.hears("n2")

    until(both)
    until(lambda: both() and one.refused(Refusal.REPLAYED))
    assert one.hears("n3") is None


@pytest.fixture
def router(authority):
    """Of the zone `east`, whose name its certificate bears; where it listens."""
    end = f"tls/{HOME}.9:7447"
    mine = Place("c", "east", 7, (end,), credentials=authority.issue("east"), members=(*NAMES, "east"), zone="east")
    made = Router(mine)
    summary = Summary(mine, made)
    yield end
    summary.stop()
    made.close()


def test_a_router_lets_each_member_speak_under_its_own_name_only_and_nobody_for_the_zone(
    authority, node, speaker, router
):
    client = Place("c", "n1", 7, (), (), True, routers=(router,), credentials=authority.issue("n1"), zone="east")
    one, two = node(client), speaker(authority.issue("n2"), (router,), EAST)
    seq = count(1)

    def both():
        number = next(seq)
        two.session.put(EAST.digest(), pack_digest(Digest(99, number, nodes=99, fresh_nodes=99)))
        two.says("n3", replace(STATE, seq=number))
        two.says("n2", replace(STATE, seq=number))
        return one.hears("n2") and one.mesh.digests().get("east")

    found = until(both)
    assert (found.incarnation, found.nodes) == (7, 1)
    assert one.hears("n3") is None


@pytest.fixture
def two_zones(authority):
    """As the operator has them: the routers' certificates bear their zones' names."""
    ends = {zone: f"tls/{HOME}.{10 + at}:7447" for at, zone in enumerate(("zone_a", "zone_b"))}
    peers, names = tuple(ends.values()), (*NAMES, *ends)
    made = [
        Router(Place("c", zone, 7, (end,), peers, credentials=authority.issue(zone), members=names, zone=zone))
        for zone, end in ends.items()
    ]
    yield ends
    for each in made:
        each.close()


def test_over_zones_a_member_is_heard_by_who_listens_to_all_and_still_under_its_own_name_only(
    authority, node, speaker, two_zones
):
    """Its own router checks that, and the other one that a zone's router speaks for its own zone."""
    own, ends = authority.issue("n1"), (two_zones["zone_a"],)
    one = node(Place("c", "n1", 7, (), (), True, routers=ends, credentials=own, zone="zone_a", wide=True))
    two = speaker(authority.issue("n2"), (two_zones["zone_b"],), Keys("c", "zone_b"))
    seq = count(1)

    def all_of_it():
        number = next(seq)
        for keys, name in ((two.keys, "n3"), (Keys("c", "zone_a"), "n3"), (Keys("c", "n2"), "n3"), (two.keys, "n2")):
            two.session.put(keys.state(name), pack_state(replace(STATE, seq=number)))
        return one.hears("n2")

    found = until(all_of_it).seq
    until(lambda: all_of_it().seq > found + 5)
    assert one.hears("n3") is None


def test_whoever_has_a_certificate_but_is_no_member_is_counted_and_not_heard(authority, node, speaker):
    one = node(place("n1", authority.issue("n1")))
    nine = speaker(authority.issue("n9"))
    until(nine.connected)
    for name in ("n9", "n2"):
        nine.says(name, STATE)
    until(lambda: one.refused(Refusal.STRANGER))
    two = node(place("n2", authority.issue("n2")))
    until(lambda: two.speak() or one.hears("n2"))
    assert list(one.mesh.view().members) == ["n2"]


def renewed_by(other, authority, name):
    """A certificate of the other authority in the files of this node."""
    fresh, used = other.issue(name), authority.issue(name)
    used.key.write_bytes(fresh.key.read_bytes())
    used.certificate.write_bytes(fresh.certificate.read_bytes())


def test_a_certificate_is_renewed_while_states_go_on(authority, node, tmp_path_factory):
    """The new one is of an authority that the third member believes alone, so that it hears only who has renewed."""
    other = Authority(tmp_path_factory.mktemp("other"), "other")
    third = other.issue("n3")
    root = authority.issue("n1").ca
    root.write_bytes(root.read_bytes() + third.ca.read_bytes())
    heard = Hearing("n1")
    one = node(place("n1", authority.issue("n1")), roster=heard)
    two = node(place("n2", authority.issue("n2")), renewal_s=0.2)
    until(lambda: one.speak() or two.speak() or (one.hears("n2") and two.hears("n1")))
    three = node(place("n3", third))
    renewed_by(other, authority, "n2")
    until(lambda: one.speak() or two.speak() or two.mesh.renewed)
    told = one.hears("n2").seq
    until(lambda: two.speak() or one.hears("n2").seq > told)
    missing = set(range(min(heard.numbers), max(heard.numbers))) - heard.numbers
    assert len(missing) <= 2, "at most what was on its way when one session took over from the other"
    until(lambda: two.speak() or three.hears("n2"))
    assert three.hears("n1") is None
    assert two.mesh.trouble == ""


def test_a_certificate_that_the_others_do_not_take_is_not_used(authority, node, tmp_path_factory, monkeypatch):
    monkeypatch.setattr("sentinel_mesh.connection.PATIENCE_S", 1.0)
    foreign = Authority(tmp_path_factory.mktemp("foreign"), "foreign")
    one, two = (node(place(name, authority.issue(name)), renewal_s=0.2) for name in NAMES[:2])
    until(lambda: two.speak() or one.hears("n2"))
    renewed_by(foreign, authority, "n2")
    until(lambda: two.speak() or "did not accept" in two.mesh.trouble)
    heard = one.hears("n2").seq
    until(lambda: two.speak() or one.hears("n2").seq > heard)
    assert two.mesh.renewed == 0


def test_a_new_member_is_admitted_without_a_restart(authority, node):
    one, two = (node(place(name, authority.issue(name), NAMES[:2]), renewal_s=0.2) for name in NAMES[:2])
    until(lambda: two.speak() or one.hears("n2"))
    three = node(place("n3", authority.issue("n3")))
    until(lambda: one.refused(Refusal.STRANGER))
    assert one.hears("n3") is None
    one.mesh.admit(NAMES)
    until(lambda: two.speak() or three.speak() or one.hears("n3"))
    until(lambda: two.speak() or one.hears("n2"))


def put(own, issued):
    """What an authority issued, as the answer to an enrolled member's request."""
    own.swap(issued.certificate.read_bytes(), issued.key.read_bytes())


def test_a_member_waits_for_its_certificate_joins_with_it_and_renews_it(authority, node, tmp_path):
    """As in a cluster: the agent is at work before anybody signed for it."""
    (tmp_path / "own").mkdir()
    own = Credentials.enrolled_in(tmp_path / "own", authority.issue("n2").ca)
    one = node(place("n1", own), renewal_s=0.2)
    two = node(place("n2", authority.issue("n2")))
    with pytest.raises(Transient, match="the mesh takes no alarm"):
        one.mesh.alarm(Burst(traffic_class=3, magnitude_bytes=1000))
    assert not one.mesh.trouble, "to wait is no trouble"
    put(own, authority.issue("n1"))
    until(lambda: one.speak() or two.hears("n1"))
    assert one.mesh.renewed == 0, "the first is no renewal"
    put(own, authority.issue("n1"))
    until(lambda: one.speak() or two.speak() or one.mesh.renewed)
    told = two.hears("n1").seq
    until(lambda: one.speak() or two.hears("n1").seq > told)


def founded(folder):
    """The authority as the chart's Secret is mounted in the operator."""
    folder.mkdir(exist_ok=True)
    for name, value in authorities.founded(datetime.now(UTC)).items():
        (folder / name).write_bytes(value)
    return authorities.Authority(folder)


def enrolled(folder, name, signer):
    """A member that the operator signed for, and its files."""
    own = Credentials.enrolled_in(folder / name, folder / "ca.crt")
    own.enrolled.mkdir()
    answer(own, name, signer)
    return own


def answer(own, name, signer):
    asked = certificates.request(name)
    own.swap(signer.sign(authorities.wish(asked.request), datetime.now(UTC)), asked.key)


def test_what_the_operator_signs_connects_members_and_its_authority_changes_while_they_speak(node, tmp_path):
    """The page's three steps: the new one is believed, then signs, then the old one is believed no more."""
    old, trust = founded(tmp_path / "authority"), tmp_path / "ca.crt"
    trust.write_text(old.trust())
    owns = {name: enrolled(tmp_path, name, old) for name in NAMES[:2]}
    one, two = (node(place(name, own), renewal_s=0.2) for name, own in owns.items())

    def both_speak():
        one.speak()
        two.speak()

    def changed(before):
        both_speak()
        return one.mesh.renewed > before[0] and two.mesh.renewed > before[1]

    until(lambda: both_speak() or (one.hears("n2") and two.hears("n1")))
    new = founded(tmp_path / "next")
    for text, signer in ((old.trust() + new.trust(), None), (new.trust() + old.trust(), new), (new.trust(), None)):
        before = one.mesh.renewed, two.mesh.renewed
        for name, own in owns.items():
            if signer is not None:
                answer(own, name, signer)
        trust.write_text(text)
        until(partial(changed, before))
    assert (one.mesh.trouble, two.mesh.trouble) == ("", "")
    told = one.hears("n2").seq
    until(lambda: both_speak() or one.hears("n2").seq > told)


def test_a_node_that_the_roll_comes_to_name_is_let_speak(authority, node, tmp_path):
    roll = tmp_path / "members"
    roll.write_text("n1\nn2\n")
    one = node(replace(place("n1", authority.issue("n1"), None), roll=roll), renewal_s=0.2)
    two = node(place("n2", authority.issue("n2")))
    three = node(place("n3", authority.issue("n3")))
    until(lambda: two.speak() or one.hears("n2"))
    until(lambda: three.speak() or one.refused(Refusal.STRANGER))
    assert one.hears("n3") is None
    roll.write_text("n1\nn2\nn3\n")
    until(lambda: two.speak() or three.speak() or one.hears("n3"))


def test_a_roll_that_names_nobody_is_one_sentence(authority, tmp_path):
    (tmp_path / "members").write_text("\n")
    empty = replace(place("n1", authority.issue("n1"), None), roll=tmp_path / "members")
    with pytest.raises(Invalid, match="one a line"):
        Mesh(empty, lambda _told, _seq: STATE)


def test_certificates_that_are_not_there_are_one_sentence(tmp_path):
    nowhere = Credentials(*(tmp_path / name for name in ("ca", "crt", "key")))
    with pytest.raises(Invalid, match="cannot be read"):
        Mesh(place("n1", nowhere), lambda _told, _seq: STATE)


def test_a_key_of_another_certificate_is_one_sentence(authority):
    own, other = authority.issue("n1"), authority.issue("n2")
    with pytest.raises(Invalid, match="belong together"):
        Mesh(place("n1", replace(own, key=Path(other.key))), lambda _told, _seq: STATE)
