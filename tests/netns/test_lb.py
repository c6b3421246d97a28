"""The balancer as a process between a client and buffer nodes that run the product's agents: real TCP and UDP."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
import yaml

from sentinel_bpf.probe import BPFFS
from support import web
from support.frames import ethernet, ipv4, udp
from support.lb_lab import (
    FRONT,
    HOSTS,
    PATIENCE_S,
    UDP_PORT,
    VIP4,
    VIP6,
    Lab,
    address,
    balancer_config,
    echoed,
    lab,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDE, NARROW = 1_000_000_000, 2_000_000  # so little room that not one flow is drawn to it
BULK = 4 << 20
WEB_PORT = 8080
LOSING_S = 1.0  # twice what readiness lives
RING_S = 1.0  # in which another ring is built; nothing depends on it but who is asked too early
ATTEMPTS = 5  # a machine that stands still for half a second lets what nodes said grow old: then only the ring decides
NOBODY, FLOODED = bytes.fromhex("02fefefefefe"), 50
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[Lab]:
    rates = {"node1": WIDE, "node2": NARROW}
    with lab(tmp_path_factory.mktemp("lb"), balancers=("lb1", "lb2"), rates=rates) as built:
        yield built


@pytest.fixture
def running(made) -> Lab:
    """Both nodes ready under the usual configuration, whatever the test before did."""
    made.configure()
    first = made.balancers["lb1"]
    if not first.running or first.running[-1].poll() is not None:
        first.start()
    try:
        wait_until(lambda: made.states() == {"node1": "ready", "node2": "ready"}, "both nodes are ready")
    except AssertionError:
        pytest.fail(made.words())
    return made


def counted(made: Lab, column: str = "new_flows") -> dict[str, int]:
    def asked() -> list[tuple[str, str]]:
        text = made.balancers["lb1"].asked("/metrics", 9467).decode()
        return re.findall(rf'sentinel_lb_backend_{column}_total{{backend="(\w+)"}} (\S+)', text)

    wait_until(lambda: len(asked()) == 2, "it tells of both nodes")
    return {name: int(float(number)) for name, number in asked()}


def gained(made: Lab, before: dict[str, int], column: str = "new_flows") -> dict[str, int]:
    return {name: number - before[name] for name, number in counted(made, column).items()}


@pytest.mark.parametrize("version", [4, 6])
def test_tcp_and_udp_reach_the_service_and_come_back_past_the_balancer(running, version):
    before = counted(running, "bytes")
    with running.connected(version) as bulk, running.datagrams(version) as few:
        assert echoed(bulk, b"x" * 300_000) == b"x" * 300_000
        assert echoed(few) == b"hello"
    sent = sum(gained(running, before, "bytes").values())
    assert 300_000 < sent < 600_000, "what comes back does not pass the balancer"


@pytest.mark.parametrize("server", web.installed())
def test_http_and_bulk_pass_in_both_families(running, server, tmp_path):
    """Megabytes from a web server behind a node, straight back to the client, and as many echoed through it."""
    page = random.Random(8).randbytes(BULK)
    (tmp_path / "page").write_bytes(page)
    vips = balancer_config()["vips"]
    running.configure(vips=[*vips, *({"address": vip, "port": WEB_PORT} for vip in (VIP4, VIP6))])
    wait_until(lambda: len(running.balancers["lb1"].told()["vips"]) == len(vips) + 2, "the addresses are served")
    with web.serving(server, running.spaces["service"], tmp_path, WEB_PORT):
        for host, version in ((VIP4, 4), (f"[{VIP6}]", 6)):
            wait_until(lambda host=host: got(running, f"http://{host}:{WEB_PORT}/page") == page, "the page arrives")
            with running.connected(version) as bulk:
                threading.Thread(target=bulk.sendall, args=(page,), daemon=True).start()
                heard = bytearray()
                while len(heard) < BULK:
                    heard += bulk.recv(1 << 16)
                assert heard == page


def got(made: Lab, url: str) -> bytes:
    """Empty while nobody listens yet."""
    try:
        with made.spaces["client"].entered(), urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()
    except OSError:
        return b""


def test_what_the_segment_floods_is_left_to_whom_it_is_for(running):
    """Each balancer that it reaches would send a copy of its own."""
    with running.datagrams() as few:
        assert echoed(few) == b"hello"
    before, passed = datagrams_taken(running), other_hosts(running)
    assert before > 0, "one that is for it is counted"
    frame = ethernet(ipv4(udp(b"flooded", destination_port=UDP_PORT), destination=VIP4, source=address("client")))
    port = f"{FRONT[0]}-lb1"

    def taken() -> int:
        return datagrams_taken(running) - before

    running.spaces["fabric"].ip("link", "set", port, "type", "bridge_slave", "flood", "on")
    try:
        with running.spaces["client"].entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((FRONT, 0))
            for _ in range(FLOODED):
                wire.send(NOBODY + frame[6:])
        wait_until(lambda: taken() + other_hosts(running) - passed >= FLOODED, "the frames arrive")
    finally:
        running.spaces["fabric"].ip("link", "set", port, "type", "bridge_slave", "flood", "off")
    assert taken() == 0


def told_once(made: Lab, sample: str) -> int:
    text = made.balancers["lb1"].asked("/metrics", 9467).decode()
    return int(float("".join(re.findall(rf"^{re.escape(sample)} (\S+)", text, re.MULTILINE)) or 0))


def other_hosts(made: Lab) -> int:
    return told_once(made, 'sentinel_lb_packets_total{reason="other_host"}')


def datagrams_taken(made: Lab) -> int:
    """Of the one address and port: a connection of the test before may have a last word still."""
    return told_once(made, f'sentinel_lb_vip_packets_total{{vip="{VIP4} {UDP_PORT}/{socket.IPPROTO_UDP:d}"}}')


def test_new_flows_go_where_the_room_is_and_the_share_says_so(running):
    found = []
    while {"node1": 12, "node2": 0} not in found and len(found) < ATTEMPTS:
        before = counted(running)
        opened = [running.datagrams() for _ in range(12)]
        assert all(echoed(each) == b"hello" for each in opened)
        for each in opened:
            each.close()
        found.append(gained(running, before))
    assert found[-1] == {"node1": 12, "node2": 0}, found
    wait_until(lambda: tells_of_room(running), "it tells where the room is")


def tells_of_room(made: Lab) -> bool:
    told = made.balancers["lb1"].told()["backends"]
    rooms = [told[name]["roomBytes"].get("gold", 0) for name in ("node1", "node2")]
    return rooms[0] > rooms[1] > 0 and told["node1"]["share"].get("gold", {"percent": 0})["percent"] > 80


def test_a_killed_control_plane_leaves_service_and_plain_maglev(running):
    before = counted(running)
    kept = running.connected()
    echoed(kept)
    process = running.balancers["lb1"].running[-1]
    process.kill()
    process.wait()
    time.sleep(LOSING_S)
    opened = [running.datagrams() for _ in range(24)]
    assert all(echoed(each) == b"hello" for each in opened)
    assert echoed(kept) == b"hello"
    for each in (kept, *opened):
        each.close()
    running.balancers["lb1"].start()
    wait_until(lambda: running.states() == {"node1": "ready", "node2": "ready"}, "a successor takes over")
    assert min(gained(running, before).values()) > 0, "without news both candidates are as good"


def test_an_upgrade_loses_no_packet_and_moves_no_flow(running):
    balancer = running.balancers["lb1"]
    rings = {vip["port"]: vip["backends"] for vip in balancer.told()["vips"]}
    with running.datagrams() as through:
        process, said = balancer.running[-1], 0
        before = counted(running, "packets")
        process.terminate()
        while process.poll() is None:
            assert echoed(through) == b"hello"
            said += 1
        assert process.returncode == 0
        balancer.start()
        while running.states() != {"node1": "ready", "node2": "ready"}:
            assert echoed(through) == b"hello"
            said += 1
            assert said < 1_000_000
    found = gained(running, before, "packets")
    assert sorted(found.values()) == [0, said], "it stays where it began"
    assert {vip["port"]: vip["backends"] for vip in balancer.told()["vips"]} == rings


def test_services_are_asked_end_to_end_whether_they_answer(running):
    """Through a node, to the service and back, in both families; where nobody listens it says so."""
    vips = balancer_config()["vips"]
    running.configure(vips=[*vips, {"address": VIP4, "port": 81}])
    told = {(VIP4, 80): "answers", (VIP6, 80): "answers", (VIP4, 81): "refuses"}

    def found() -> dict[tuple[str, int], str]:
        every = running.balancers["lb1"].told()["vips"]
        return {(each["address"], each["port"]): each["health"] for each in every if "health" in each}

    wait_until(lambda: found() == told, "all have answered as they are")


def test_new_clients_are_kept_from_a_node_behind_which_the_service_does_not_answer(running):
    """As where a kube-proxy does not know the pods of its node: the node itself is well, and so are other nodes."""
    node, way = running.agents["node1"].space, ("via", f"10.79.0.{HOSTS['service']}")
    with at_node1(running) as kept:
        node.ip("route", "replace", "blackhole", f"{VIP4}/32")
        try:
            wait_until(lambda: avoided(running) == {(VIP4, 80): ["node1"], (VIP6, 80): []}, "it is noticed")
            time.sleep(RING_S)
            before = counted(running)
            for _ in range(4):
                with running.connected() as fresh:
                    assert echoed(fresh) == b"hello"
            assert gained(running, before)["node1"] == 0
            assert running.states()["node1"] == "ready", "nothing else is held against it"
        finally:
            node.ip("route", "del", "blackhole", f"{VIP4}/32")
            node.ip("route", "replace", f"{VIP4}/32", *way)
        packets = counted(running, "packets")
        assert echoed(kept) == b"hello"
        assert gained(running, packets, "packets")["node1"] > 0, "what was there stays where it was"
    wait_until(lambda: avoided(running) == {(VIP4, 80): [], (VIP6, 80): []}, "it is trusted again")


def avoided(made: Lab) -> dict[tuple[str, int], list[str]]:
    every = made.balancers["lb1"].told()["vips"]
    return {(each["address"], each["port"]): each["avoids"] for each in every if "avoids" in each}


def at_node1(made: Lab) -> socket.socket:
    """A connection that lives there, as all do while its room is known."""
    for _ in range(ATTEMPTS):
        before, opened = counted(made), made.connected()
        assert echoed(opened) == b"hello"
        if gained(made, before)["node1"] > 0:
            return opened
        opened.close()
    pytest.fail(f"no connection goes to node1, which has the room: {made.words()}")


def test_a_drained_node_keeps_its_flows_and_gets_no_new_ones(running):
    with at_node1(running) as kept:
        backends = balancer_config()["backends"]
        running.configure(backends=[backends[0] | {"draining": True}, backends[1]])
        wait_until(lambda: running.states() == {"node1": "draining", "node2": "ready"}, "it drains")
        found = []
        while {"node1": 0, "node2": 1} not in found and len(found) < ATTEMPTS:
            before = counted(running)
            with running.datagrams() as fresh:
                echoed(fresh)
            found.append(gained(running, before))
        assert found[-1] == {"node1": 0, "node2": 1}, found
        packets = counted(running, "packets")
        assert echoed(kept) == b"hello"
        assert gained(running, packets, "packets")["node1"] > 0


def test_a_dead_agent_is_not_a_dead_node(running):
    agent = running.agents["node1"]
    with at_node1(running) as kept:
        agent.running[-1].kill()
        agent.running[-1].wait()
        balancer = running.balancers["lb1"]
        try:
            wait_until(lambda: "headless" in balancer.told()["backends"]["node1"]["reason"], "it is headless")
            before = counted(running, "packets")
            assert echoed(kept) == b"hello"
            assert gained(running, before, "packets")["node1"] > 0, "no established flow moves"
        finally:
            agent.start()
    wait_until(lambda: running.states()["node1"] == "ready", "its successor speaks")


def test_a_dead_nodes_flows_live_on_at_the_other(running):
    node = running.spaces["node1"]
    with at_node1(running) as kept:
        before = counted(running, "packets")
        node.ip("link", "set", FRONT, "down")
        try:
            assert echoed(kept) == b"hello"  # as fast as TCP tries again
            assert gained(running, before, "packets")["node2"] > 0
            wait_until(lambda: running.states()["node1"] == "dead", "it is told")
        finally:
            _up_again(running)
    wait_until(lambda: running.states()["node1"] == "ready", "it is taken back")


def _up_again(made: Lab) -> None:
    """IPv6 forgets what was set on a device that goes down."""
    made.spaces["node1"].ip("link", "set", FRONT, "up")
    made.spaces["node1"].ip("address", "replace", f"{address('node1', 6)}/64", "dev", FRONT, "nodad")


def test_another_balancer_speaks_for_every_address_when_the_first_dies(running):
    first, second = running.balancers["lb1"], running.balancers["lb2"]
    second.start()
    everything = {VIP4, VIP6}
    wait_until(lambda: running.balancers["lb1"].told()["balancers"] == ["lb2"], "they know each other")
    wait_until(
        lambda: (
            set(first.told()["announced"]) | set(second.told()["announced"]) == everything
            and not set(first.told()["announced"]) & set(second.told()["announced"])
        ),
        "each address has one speaker",
    )
    with running.connected() as kept:
        echoed(kept)
        first.running[-1].kill()
        first.running[-1].wait()
        wait_until(lambda: set(second.told()["announced"]) == everything, "the other takes over")
        assert echoed(kept) == b"hello", "both choose alike, or the node knows the flow"
    second.running[-1].terminate()
    assert second.running[-1].wait(PATIENCE_S) == 0
    second.detach()


def test_a_mistake_in_a_running_balancers_file_changes_nothing(running):
    running.balancers["lb1"].config.write_text("vips: [{address: nowhere, port: 80}]")
    wait_until(lambda: "configuration_unreadable" in running.balancers["lb1"].last_words(), "it says so")
    with running.datagrams() as through:
        assert echoed(through) == b"hello"
    assert set(running.states()) == {"node1", "node2"}


def test_told_to_hand_back_it_leaves_nothing_and_works_again_when_told(running):
    balancer, space = running.balancers["lb1"], running.spaces["lb1"]
    assert VIP4 in space.ip("address", "show", "dev", FRONT)
    running.configure(detached=True)
    wait_until(lambda: not (running.pins / "sentinel_lb1").exists(), "its pins are gone")
    assert "prog/xdp" not in space.ip("link", "show", "dev", FRONT)
    assert VIP4 not in space.ip("address", "show", "dev", FRONT)
    assert balancer.running[-1].poll() is None, "it waits for other orders"
    wait_until(lambda: not balancer.asked("/readyz", 9467), "it says so")
    assert balancer.asked("/healthz", 9467) == b"ok", "it has come up: so it is told from one that begins"
    running.configure()
    wait_until(lambda: running.states() == {"node1": "ready", "node2": "ready"}, "it works again")
    with running.connected() as through:
        assert echoed(through) == b"hello"


def test_detach_leaves_nothing(running):
    balancer, space = running.balancers["lb1"], running.spaces["lb1"]
    assert VIP4 in space.ip("address", "show", "dev", FRONT)
    balancer.running[-1].send_signal(signal.SIGTERM)
    assert balancer.running[-1].wait(PATIENCE_S) == 0
    assert "prog/xdp" in space.ip("link", "show", "dev", FRONT), "a successor should find it"
    balancer.detach()
    assert "prog/xdp" not in space.ip("link", "show", "dev", FRONT)
    assert VIP4 not in space.ip("address", "show", "dev", FRONT)
    assert not (running.pins / "sentinel_lb1").exists()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        pytest.param({"interface": "none0"}, "none0", id="no such device"),
        pytest.param(
            {"vips": [{"address": VIP4, "port": UDP_PORT, "backends": ["x"]}]}, "add it there", id="unknown node"
        ),
        pytest.param(["not", "a", "mapping"], "must be a mapping", id="no mapping"),
    ],
)
def test_a_mistake_at_the_start_is_one_sentence_and_exit_code_2(tmp_path, config, sentence):
    path = tmp_path / "balancer.yaml"
    path.write_text(yaml.safe_dump(config))
    argv = [sys.executable, "-m", "sentinel_lb", "--config", str(path)]
    name = f"mistaken-{os.getpid()}"
    env = os.environ | {"SENTINEL_NODE_NAME": name, "SENTINEL_METRICS_PORT": "0", "SENTINEL_LISTEN": "127.0.0.1"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert not (BPFFS / f"sentinel_{name}").exists()
