"""Services: who serves a VIP, what fragments find, what is announced."""

from dataclasses import replace

from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
from sentinel_core.rules import compiled
from sentinel_lb.act.plane import RINGS
from sentinel_lb.decide.seats import seated
from sentinel_lb.decide.services import FRAGMENTS, SETS, announced, class_of, services, spared, sparing
from sentinel_lb.decide.states import Evidence, standing
from sentinel_lb.decide.weights import State
from sentinel_mesh.membership import Probe

CONFIG = BalancerConfig.parse(
    {
        "trafficClasses": [
            {"name": "far", "match": [{"port": 80, "cidr": "10.0.0.0/8"}]},
            {"name": "web", "match": [{"protocol": "TCP", "port": 80, "endPort": 90}]},
        ],
        "backends": [{"name": n, "address": f"10.0.0.{i}", "capacity": i} for i, n in enumerate("abc", 1)],
        "vips": [
            {"address": "198.51.100.9", "port": 80},
            {"address": "198.51.100.9", "port": 90, "backends": ["b"]},
            {"address": "2001:DB8::9", "port": 53, "protocol": "UDP", "sticky": True, "idleSeconds": 5},
        ],
    }
)
SEATS = seated({}, CONFIG.backends, {}, 0)


def test_a_vip_is_served_by_those_it_names_or_by_all():
    found = {(each.address, each.port): [m.name for m in each.members] for each in services(CONFIG, SEATS)}
    assert found["198.51.100.9", 80] == ["a", "b", "c"]
    assert found["198.51.100.9", 90] == ["b"]
    assert found["2001:db8::9", 53] == ["a", "b", "c"]


def test_fragments_of_an_address_go_by_its_first_port_and_count_there():
    (found,) = [e for e in services(CONFIG, SEATS) if (e.address, e.port) == ("198.51.100.9", FRAGMENTS)]
    assert ([m.name for m in found.members], found.counts_for, found.protocol) == (["a", "b", "c"], 80, 6)


def test_capacity_and_number_reach_the_ring():
    assert [(m.number, m.capacity) for m in services(CONFIG, SEATS)[0].members] == [(0, 1), (1, 2), (2, 3)]


def test_who_was_taken_out_is_in_no_ring_though_its_flows_live():
    shorter = CONFIG.model_copy(update={"backends": CONFIG.backends[1:]})
    seats = seated(SEATS, shorter.backends, {}, 1)
    assert [m.name for m in services(shorter, seats)[0].members] == ["b", "c"]


def test_a_vip_without_backends_is_none():
    lonely = CONFIG.model_copy(update={"backends": ()})
    assert services(lonely, {}) == ()


def test_an_address_is_announced_while_somebody_lives_behind_it():
    wanted = services(CONFIG, SEATS)
    alive = [standing(seat, Evidence(probe=Probe.GOOD), 0) for seat in SEATS.values()]
    dead = [replace(each, state=State.DEAD) for each in alive]
    assert announced(wanted, alive) == ("198.51.100.9", "2001:db8::9")
    assert announced(wanted, [dead[0], alive[1], dead[2]]) == ("198.51.100.9", "2001:db8::9")
    assert announced(wanted, dead) == ()


def test_the_class_of_a_service_is_that_of_its_port_whoever_the_client_is():
    rules = compiled(CONFIG.traffic_classes, CONFIG.ids, "Ingress")
    found = {(each.counts_for, each.protocol): class_of(each, rules) for each in services(CONFIG, SEATS)}
    assert found == {(80, 6): 2, (90, 6): 2, (53, 17): 0}


def test_new_clients_are_kept_from_who_is_avoided_and_from_nobody_else():
    avoided = {("198.51.100.9", 80): frozenset({1}), ("2001:db8::9", 53): frozenset({0})}
    found = {(e.address, e.port): [m.name for m in e.members] for e in sparing(services(CONFIG, SEATS), avoided)}
    assert found["198.51.100.9", 80] == found["198.51.100.9", FRAGMENTS] == ["a", "c"]
    assert found["198.51.100.9", 90] == ["b"]
    assert found["2001:db8::9", 53] == ["a", "b", "c"], "what was asked by TCP says nothing of UDP"


def test_where_nobody_who_lives_would_be_left_all_stay():
    wanted, everybody = services(CONFIG, SEATS), {0, 1, 2}
    a_and_b = {("198.51.100.9", 80): frozenset({0, 1})}
    assert spared(wanted, a_and_b, living=everybody) == a_and_b
    assert spared(wanted, a_and_b, living={0, 1}) == {}
    assert spared(wanted, {("198.51.100.9", 80): frozenset(everybody)}, living=everybody) == {}
    assert spared(wanted, {("2001:db8::9", 53): frozenset({0})}, living=everybody) == {}, "it is no TCP"


def test_there_are_rings_for_all_that_is_avoided_while_each_of_them_changes():
    vips = [{"address": "198.51.100.9", "port": port} for port in range(1, 31)]
    names = [f"n{number}" for number in range(30)]
    backends = [{"name": name, "address": f"10.0.0.{at}", "capacity": 1} for at, name in enumerate(names, 1)]
    config = BalancerConfig.parse({"trafficClasses": [], "backends": backends, "vips": vips})
    wanted = services(config, seated({}, config.backends, {}, 0))
    each_another = {("198.51.100.9", port): frozenset({port - 1}) for port in range(1, 31)}
    found = spared(wanted, each_another, living=range(30))
    assert len({each.members for each in sparing(wanted, found)}) == SETS == RINGS // 2
    shared = {key: numbers if key[1] < SETS else frozenset({0}) for key, numbers in each_another.items()}
    assert spared(wanted, shared, living=range(30)) == shared, "as many rings, and the others' is the first one's"
