"""The agent's three verbs against a real API server: what it reads, what it follows, what it tells."""

import contextlib
import itertools
import os
import queue
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from sentinel_agent.follow import Command, Follower
from sentinel_agent.kube import Access, Api
from sentinel_agent.tell import Teller
from sentinel_api.errors import Invalid, Transient
from sentinel_api.v1alpha1.buffernode import BufferNodeStatus, DataPlaneStatus
from sentinel_api.v1alpha1.nodeconfig import CONFIG_FILE, NodeConfig, config_map_name
from sentinel_lab.dataplane import OBJECT
from support.agent import CONFIG, PORT, Agent
from support.cluster.processes import wait_until
from support.load import Load, figure
from support.netns import bottleneck
from support.way import Way

TESTS = str(OBJECT.parents[2] / "tests")
NODE = f"agent-node-{os.getpid()}"
NODES = "/apis/sentinel.io/v1alpha1/buffernodes"
SMALL = NodeConfig.parse({"trafficClasses": [{"name": "db", "match": [{"port": 5432}]}]})
LARGE = NodeConfig.parse({"pool": {"maxBytes": 20_000_000}})
PATIENCE_S = 240.0  # only ends a hang


@pytest.fixture
def api(kinds, tmp_path):
    return api_of(kinds.plane, tmp_path, kinds.plane.token)


def api_of(plane, folder, token):
    at = urlsplit(plane.url)
    (folder / "token").write_text(token)
    return Api(Access(at.hostname, at.port, folder / "token", plane.pki.root))


@pytest.fixture
def ordered(kinds):
    """Orders as the operator writes them: a configuration by its content, and a BufferNode that names it."""
    plane = kinds.plane

    def order(config, text=None, state="Active"):
        name = config_map_name("front", config.digest)
        body = {"metadata": {"name": name}, "data": {CONFIG_FILE: text or config.text}}
        plane.request("POST", "/api/v1/namespaces/default/configmaps", body)
        spec = {
            "clusterRef": {"namespace": "default", "name": "front"},
            "configDigest": config.digest,
            "desiredState": state,
        }
        manifest = {
            "apiVersion": "sentinel.io/v1alpha1",
            "kind": "BufferNode",
            "metadata": {"name": NODE},
            "spec": spec,
        }
        status, answer = plane.request("POST", NODES, manifest)
        if status == 409:
            status, answer = plane.request(
                "PATCH", f"{NODES}/{NODE}", {"spec": spec}, content_type="application/merge-patch+json"
            )
        assert status in (200, 201), answer

    yield order
    plane.kubectl("delete", "buffernodes", NODE, "--ignore-not-found")
    plane.kubectl("delete", "configmaps", "-n", "default", "--all")


def test_what_is_not_there_is_none(api):
    assert api.get("/api/v1/namespaces/default/configmaps/nothing") is None


def test_what_is_forbidden_is_for_a_person_to_mend(kinds, tmp_path):
    nobody = api_of(kinds.plane, tmp_path, kinds.plane.token_for("nobody"))
    with pytest.raises(Invalid, match=r"refuses .*secrets with 403"):
        nobody.get("/api/v1/secrets")


def test_a_server_that_is_away_may_come_back(kinds, tmp_path):
    (tmp_path / "token").write_text("x")
    away = Api(Access("127.0.0.1", 1, tmp_path / "token", kinds.plane.pki.root), timeout_s=1)
    with pytest.raises(Transient, match="does not answer"):
        away.get("/api")


def test_orders_arrive_with_the_configuration_they_name_and_follow_each_change(api, ordered):
    commands: queue.Queue[Command] = queue.Queue()
    follower = Follower(api, NODE, commands.put)
    follower.start()
    ordered(SMALL)
    arrived(commands, SMALL)
    ordered(LARGE, state="Detached")
    assert arrived(commands, LARGE).spec.desired_state == "Detached"
    follower.stop()


def test_a_configuration_that_was_tampered_with_is_never_obeyed(api, ordered):
    commands: queue.Queue[Command] = queue.Queue()
    follower = Follower(api, NODE, commands.put)
    ordered(SMALL, text=LARGE.text)
    follower.start()
    with pytest.raises(queue.Empty):
        commands.get(timeout=3)
    follower.stop()


def test_the_status_is_told_at_once_when_it_is_waited_for_and_the_last_word_at_the_end(api, kinds, ordered):
    ordered(SMALL)
    states = {"now": BufferNodeStatus(state="Active", data_plane=DataPlaneStatus(tier="B", reason="Htb"))}
    teller = Teller(api, NODE, lambda: states["now"])
    teller.report_seconds = 600
    teller.start()
    stored = lambda: kinds.plane.request("GET", f"{NODES}/{NODE}")[1].get("status") or {}  # noqa: E731
    wait_until("the first status", lambda: stored().get("state") == "Active", PATIENCE_S)
    states["now"] = BufferNodeStatus(state="Detached")
    teller.hurry()
    wait_until("the change", lambda: stored().get("state") == "Detached", PATIENCE_S)
    assert "dataPlane" not in stored(), "what went away is gone"
    states["now"] = BufferNodeStatus(state="Draining")
    teller.stop(PATIENCE_S)
    assert stored()["state"] == "Draining"


def test_while_the_api_server_is_away_nobody_waits_and_the_latest_is_told_afterwards(kinds, tmp_path, ordered):
    real = urlsplit(kinds.plane.url)
    way = Way(real.hostname, real.port)
    way.listen()
    (tmp_path / "token").write_text(kinds.plane.token)
    api = Api(Access("127.0.0.1", way.port, tmp_path / "token", kinds.plane.pki.root), timeout_s=2)
    commands, composed = queue.Queue(), itertools.count()
    follower = Follower(api, NODE, commands.put)
    asked = []

    def compose():
        asked.append(next(composed))
        return BufferNodeStatus(state="Active", observed_generation=asked[-1])

    teller = Teller(api, NODE, compose)
    teller.report_seconds = 1
    with running(follower, teller, way):
        ordered(SMALL)
        arrived(commands, SMALL)
        teller.start()
        wait_until("a first status", lambda: told(kinds) is not None, PATIENCE_S)
        way.cut()
        time.sleep(2)
        ordered(LARGE)
        before = asked[-1]
        way.heal()
        healed = time.monotonic()
        arrived(commands, LARGE)
        obeyed_s = time.monotonic() - healed
        wait_until("the newest status", lambda: (told(kinds) or 0) > before, PATIENCE_S)
        told_s = time.monotonic() - healed
    figure("API server away for 2 s", orders_after_s=obeyed_s, status_after_s=told_s, composed=asked[-1])


@contextlib.contextmanager
def running(follower, teller, way):
    """However it goes, no thread is left: one that goes on would disturb every later test."""
    follower.start()
    try:
        yield
    finally:
        if teller._thread.ident is not None:
            teller.stop(patience_s=60)
        follower.stop()
        way.close()
        follower._thread.join(60)


@pytest.fixture
def outside():
    """Work for the namespace that this test began in, whichever the test is in by now."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(os.getpid).result()  # its thread stays where it was made
        yield lambda work, *given: pool.submit(work, *given).result()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("away_s", [15, pytest.param(120, marks=pytest.mark.soak, id="two-minutes")])
def test_while_the_api_server_is_away_no_packet_notices(kinds, tmp_path, ordered, outside, away_s):
    """Backing off has its bounds, so an outage of two minutes is mended within one more."""
    real = urlsplit(kinds.plane.url)
    way = Way(real.hostname, real.port)
    (tmp_path / "token").write_text(kinds.plane.token)
    configs = [NodeConfig.parse({**CONFIG, "pool": {"maxBytes": size}}) for size in (10_000_000, 20_000_000)]
    stored = lambda: outside(kinds.plane.request, "GET", f"{NODES}/{NODE}")[1].get("status") or {}  # noqa: E731
    in_force = lambda config: agent.state().get("configDigest") == config.digest  # noqa: E731
    with bottleneck((PORT,)) as node:
        agent = Agent(tmp_path)
        agent.name = NODE
        way.listen()
        try:
            outside(ordered, configs[0])
            program = ("-m", "support.at_api", str(way.port), str(tmp_path / "token"), str(kinds.plane.pki.root))
            agent.started(program, PYTHONPATH=TESTS)
            agent.until(lambda: stored().get("configDigest") == configs[0].digest, "it told of its orders")
            with Load(node, PORT) as load:
                agent.ticked_on()
                way.cut()
                before, seq = agent.unordered(), agent.state()["seq"]
                outside(ordered, configs[1])
                time.sleep(away_s)
                ticks, unordered = agent.state()["seq"] - seq, agent.unordered() - before
                assert in_force(configs[0]), "the last orders hold"
                way.heal()
                healed = time.monotonic()
                agent.until(lambda: in_force(configs[1]), "the newest orders are in force")
                obeyed_s = time.monotonic() - healed
                agent.until(lambda: stored().get("configDigest") == configs[1].digest, "and are told")
                told_s = time.monotonic() - healed
            figure(
                f"API server away for {away_s} s, packets beside it",
                sent=load.sent,
                lost=load.lost(),
                without_orders_ms=unordered * load.pace_s * 1e3,
                longest_silence_s=load.longest_silence_s,
                ticks_meanwhile=ticks,
                orders_after_s=obeyed_s,
                status_after_s=told_s,
                ticks_failed=agent.failed(),
            )
            assert load.lost() == 0
            assert ticks > 0
        finally:
            agent.end_all()
            agent.forget()
            way.close()


def arrived(commands, config):
    """Every status that is written, and every watch that begins again, brings the orders there are once more, so those
    before may come again."""
    while (command := commands.get(timeout=PATIENCE_S)).config != config:
        pass
    return command


def told(kinds):
    _, answer = kinds.plane.request("GET", f"{NODES}/{NODE}")
    return answer.get("status", {}).get("observedGeneration")
