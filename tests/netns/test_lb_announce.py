"""How neighbours learn of addresses: frames on a segment, and FRR beside us with BIRD and GoBGP as its peers."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
from sentinel_lab.namespaces import Namespace, remove_leftovers
from sentinel_lb.act import checkup
from sentinel_lb.act.addresses import Addresses
from sentinel_lb.act.announce import rivals, segment
from sentinel_lb.act.announce.bgp import Frr
from sentinel_lb.act.announce.rivals import APART_NS, Rivals
from sentinel_lb.act.announce.segment import Segment
from sentinel_lb.settings import FrrSettings
from support.lb_lab import wait_until
from support.routing import Bird, child, frr, need

if TYPE_CHECKING:
    from collections.abc import Iterator

VIPS = ("198.51.100.9", "2001:db8:1::9")
LATER = "198.51.100.10"
ARP = 0x0806
PASSWORD = "a-secret-of-its-own"
PATIENT = {"multiplier": 50}  # five seconds: a session that a busy machine lost would seem to be lost by the reload
BIRD = """
router id 10.90.0.2;
protocol device {}
protocol bfd { interface "v0" { min rx interval 100 ms; min tx interval 100 ms; multiplier 50; }; }
template bgp ours { local as 65002; password "PASSWORD"; bfd on; connect delay time 1; error wait time 1, 2; }
protocol bgp four from ours { neighbor 10.90.0.1 as 65001; ipv4 { import all; export none; }; }
protocol bgp six from ours { neighbor fd90::1 as 65001; ipv6 { import all; export none; }; }
"""
GOBGP = {
    "global": {"config": {"as": 65003, "router-id": "10.91.0.2"}},
    "neighbors": [
        {
            "config": {"neighbor-address": "10.91.0.1", "peer-as": 65001},
            "timers": {"config": {"connect-retry": 1, "hold-time": 3, "keepalive-interval": 1}},
        }
    ],
}


@pytest.fixture
def pair() -> Iterator[dict[str, Namespace]]:
    """A balancer between two routers."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")
    remove_leftovers()
    spaces = {role: Namespace(role, os.getpid()) for role in ("lb", "bird", "gobgp")}
    with ExitStack() as stack:
        for space in spaces.values():
            stack.callback(space.remove)
            space.create()
        for number, router in enumerate(("bird", "gobgp")):
            device = f"v{number}"
            peer = ("peer", "name", device, "netns", spaces[router].name)
            spaces["lb"].ip("link", "add", device, "type", "veth", *peer)
            for host, role in enumerate(("lb", router), 1):
                spaces[role].ip("link", "set", device, "up")
                spaces[role].ip("address", "add", f"10.9{number}.0.{host}/24", "dev", device)
                spaces[role].ip("address", "add", f"fd9{number}::{host}/64", "dev", device, "nodad")
            wait_until(lambda on=device: "state UP" in spaces["lb"].ip("link", "show", on), "a carrier to send by")
        yield spaces


def test_an_address_is_on_the_device_and_everybody_is_told(pair):
    with pair["bird"].entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as hearing:
        hearing.bind(("v0", 3))
        hearing.settimeout(60)
        with pair["lb"].entered():
            announcing = Segment("v0")
            announcing.announce(VIPS)
            mac = next(line.split()[1] for line in pair["lb"].ip("link", "show", "v0").splitlines() if "ether" in line)
        told: set[str] = set()
        while told != set(VIPS):
            frame = hearing.recv(2000)
            if frame[6:12].hex(":") != mac:
                continue
            if frame[12:14] == b"\x08\x06" and frame[28:32] == frame[38:42]:
                told.add(socket.inet_ntop(socket.AF_INET, frame[28:32]))
            elif frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136:
                told.add(socket.inet_ntop(socket.AF_INET6, frame[62:78]))
    with pair["lb"].entered():
        assert Addresses("v0").held() == set(VIPS)
        announcing.announce(VIPS[:1])
        assert Addresses("v0").held() == set(VIPS[:1])
        Segment("v0").withdraw()
        assert Addresses("v0").held() == set()
        announcing.withdraw()


CLAIMANT = bytes.fromhex("020000000099")
HOUR_NS = 3_600_000_000_000


def told(hearing: socket.socket) -> str:
    """The hardware address of the next frame that says where the address is."""
    while True:
        frame = hearing.recv(2000)
        if frame[28:32] == frame[38:42] == socket.inet_aton(VIPS[0]):
            return frame[22:28].hex(":")


def test_who_took_us_for_gone_for_a_moment_is_answered(pair, monkeypatch):
    """Neighbours believe the last word: without an answer they would go astray until we next speak by ourselves."""
    monkeypatch.setattr(segment, "AGAIN_NS", HOUR_NS)
    with pair["bird"].entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP)) as wire:
        wire.bind(("v0", ARP))
        wire.settimeout(60)
        with pair["lb"].entered():
            speaking = Segment("v0")
            ours = []
            while len(ours) < segment.TELLINGS:
                speaking.announce(VIPS[:1])
                with contextlib.suppress(TimeoutError):
                    wire.settimeout(0.05)
                    ours.append(told(wire))
            assert len(set(ours)) == 1
            wire.send(segment.gratuitous(VIPS[0], CLAIMANT))
            wait_until(lambda: heard_after(speaking, wire) == ours[0], "an answer to the claim")
            speaking.withdraw()


def heard_after(speaking: Segment, wire: socket.socket) -> str:
    speaking.announce(VIPS[:1])
    try:
        return told(wire)
    except TimeoutError:
        return ""


@pytest.mark.parametrize(
    ("sure", "patience_ns", "takes"),
    [
        pytest.param(True, 0, True, id="after a while all the same, if the mesh says that it is gone"),
        pytest.param(True, HOUR_NS, False, id="not before that"),
        pytest.param(False, 0, False, id="and never while nobody is heard"),
    ],
)
def test_an_address_that_somebodys_kernel_answers_for_is_not_taken(pair, monkeypatch, sure, patience_ns, takes):
    """Packets still find their way there, and a process that is silent may only be waiting for a CPU."""
    monkeypatch.setattr(segment, "PATIENCE_NS", patience_ns)
    monkeypatch.setattr(rivals, "ANSWER_S", 10.0)  # it ends as soon as it is answered
    pair["bird"].ip("address", "add", f"{VIPS[0]}/32", "dev", "v0")
    with pair["lb"].entered():
        speaking = Segment("v0")
        speaking.announce(VIPS[:1], sure=sure)
        assert Addresses("v0").held() == ({VIPS[0]} if takes else set())
        if not takes:
            pair["bird"].ip("address", "del", f"{VIPS[0]}/32", "dev", "v0")
            monkeypatch.setattr(rivals, "ANSWER_S", 0.1)
            speaking.announce(VIPS[:1], sure=sure)
            assert Addresses("v0").held() == {VIPS[0]}, "it is free now"
        speaking.withdraw()


def test_who_insists_is_answered_three_times_in_ten_seconds_and_each_but_a_second_after_the_last(pair):
    answered = []
    with pair["bird"].entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("v0", ARP))
        with pair["lb"].entered():
            ear = Rivals("v0")
        for tenth in range(250):
            wire.send(segment.gratuitous(VIPS[0], CLAIMANT))
            wire.send(segment.gratuitous(LATER, CLAIMANT))
            found = ear.to_answer({VIPS[0]}, tenth * APART_NS // 10)
            assert found in ({}, {VIPS[0]: CLAIMANT.hex(":")})
            answered += [tenth] * len(found)
        ear.close()
    assert answered
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(answered))
    assert all(answered[n + 3] - answered[n] >= 100 for n in range(len(answered) - 3))


def test_while_the_link_is_down_nothing_breaks_and_what_is_owed_is_told_later(pair):
    with pair["lb"].entered():
        announcing = Segment("v0")
        with checkup.ear("v0", 4) as ear:
            pair["lb"].ip("link", "set", "v0", "down")
            announcing.announce(VIPS[:1])
            assert select.select([ear], [], [], 60)[0], "the socket tells that the link went down"
            assert checkup.received(ear) == b""
    with pair["bird"].entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP)) as hearing:
        hearing.bind(("v0", ARP))
        hearing.settimeout(60)
        pair["lb"].ip("link", "set", "v0", "up")
        wait_until(lambda: "state UP" in pair["lb"].ip("link", "show", "v0"), "a carrier to send by")
        with pair["lb"].entered():
            announcing.announce(VIPS[:1])
        while socket.inet_ntop(socket.AF_INET, hearing.recv(2000)[28:32]) != VIPS[0]:
            continue
        with pair["lb"].entered():
            announcing.withdraw()


def test_somebody_elses_address_stays(pair):
    pair["lb"].ip("address", "add", "203.0.113.5/32", "dev", "v0")
    with pair["lb"].entered():
        announcing = Segment("v0")
        announcing.announce(VIPS)
        announcing.withdraw()
    assert "203.0.113.5" in pair["lb"].ip("address", "show", "dev", "v0")


@dataclass
class Routers:
    """FRR on the balancer, BIRD and GoBGP beside it, and our announcer."""

    spaces: dict[str, Namespace]
    bird: Bird
    announcer: Frr

    def gobgp(self, *words: str) -> Any:
        argv = ["ip", "netns", "exec", self.spaces["gobgp"].name, "gobgp", "-j", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else {}

    def known_to_gobgp(self) -> set[str]:
        return {prefix.split("/")[0] for prefix in self.gobgp("global", "rib", "-a", "ipv4")}


def config(*vips: str, **bgp: Any) -> BalancerConfig:
    peers = [
        {"address": "10.90.0.2", "asn": 65002, "passwordSecret": "bird", "bfd": PATIENT},
        {"address": "fd90::2", "asn": 65002, "passwordSecret": "bird", "bfd": PATIENT},
        {"address": "10.91.0.2", "asn": 65003, "bfd": {"enabled": False}},
    ]
    told = {"localAsn": 65001, "peers": peers, "communities": ["65001:100"], "med": 7} | bgp
    return BalancerConfig.parse(
        {
            "routerId": "10.90.0.1",
            "vips": [{"address": each, "port": 80} for each in vips],
            "announce": {"mode": "BGP", "bgp": told},
        }
    )


@pytest.fixture
def routers(pair, tmp_path) -> Iterator[Routers]:
    need("bird", "gobgpd")
    instance = f"sn{os.getpid()}"
    with ExitStack() as stack:
        (tmp_path / "gobgp.json").write_text(json.dumps(GOBGP))
        (tmp_path / "secrets/bird").mkdir(parents=True)
        (tmp_path / "secrets/bird/password").write_text(PASSWORD)
        bird = Bird(stack, pair["bird"], tmp_path, BIRD.replace("PASSWORD", PASSWORD))
        gobgp = ["gobgpd", "-t", "json", "-f", str(tmp_path / "gobgp.json"), "--api-hosts", "127.0.0.1:50051"]
        child(stack, pair["gobgp"], gobgp, tmp_path / "gobgp.log")
        frr(stack, pair["lb"], instance, tmp_path)
        with pair["lb"].entered():
            announcer = Frr(FrrSettings(tmp_path, instance, tmp_path / "secrets"), "")
        stack.callback(announcer.close)
        yield Routers(pair, bird, announcer)


@pytest.mark.slow
def test_routers_learn_addresses_and_forget_them(routers):
    ours, space = routers.announcer, routers.spaces["lb"]
    space.ip("address", "add", "203.0.113.5/32", "dev", "lo")  # somebody else's, never to be announced
    with space.entered():
        ours.configure(config(*VIPS))
        ours.announce(VIPS)
    wait_until(lambda: routers.bird.routes() == set(VIPS), "BIRD knows both families")
    wait_until(lambda: routers.known_to_gobgp() == {VIPS[0]}, "GoBGP knows its family")
    detail = routers.bird.says("show", "route", "all", "for", VIPS[0])
    assert "(65001,100)" in detail
    assert "BGP.med: 7" in detail
    assert "BGP.next_hop: 10.90.0.1" in detail

    wait_until(lambda: ours.settled and set(routers.bird.sessions()) == {"four", "six"}, "all is configured")
    since = routers.bird.sessions()
    with space.entered():
        ours.configure(config(*VIPS, LATER))
        ours.announce((*VIPS, LATER))
    wait_until(lambda: routers.bird.routes() == {*VIPS, LATER}, "a later address is announced, too")
    wait_until(lambda: ours.settled, "it is configured, too")
    assert routers.bird.sessions() == since, "no session was dropped by the reload"

    with space.entered():
        ours.announce(VIPS[1:])
    wait_until(lambda: routers.bird.routes() == {VIPS[1]}, "what is drained is withdrawn")
    wait_until(lambda: routers.known_to_gobgp() == set(), "everywhere")
    space.ip("link", "set", "v0", "down")
    wait_until(lambda: routers.bird.routes() == set(), "a session that is lost takes its routes along")
