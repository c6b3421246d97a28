"""Addresses of Services: kept while they may be, given to the oldest first, shared only when asked for by name."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel_operator.decide.services import CLUSTER_ANNOTATION, ServiceKey, Wanted, assigned, claimed_by

POOL = ("192.0.2.0/30", "2001:db8::/126")
TCP80, TCP443, UDP80 = (80, "TCP"), (443, "TCP"), (80, "UDP")


def service(name, *ports, created="2030-01-01", **more):
    return Wanted(ServiceKey("shop", name), created, ports or (TCP80,), **more)


def addresses(pool, *services):
    return {key.name: answer.addresses for key, answer in assigned(pool, services).items()}


def reason(pool, name, *services):
    answer = assigned(pool, services)[ServiceKey("shop", name)]
    assert answer.assigned or answer.message
    return answer.reason


def test_the_oldest_gets_the_first_address():
    found = addresses(POOL, service("young", created="2031-01-01"), service("old"))
    assert found == {"old": ("192.0.2.0",), "young": ("192.0.2.1",)}


def test_an_address_that_is_held_is_kept_whoever_is_older():
    found = addresses(POOL, service("old"), service("young", created="2031-01-01", held=("192.0.2.0",)))
    assert found == {"old": ("192.0.2.1",), "young": ("192.0.2.0",)}


def test_an_address_that_left_the_pool_is_given_up():
    assert addresses(POOL, service("a", held=("198.51.100.1",))) == {"a": ("192.0.2.0",)}


def test_both_families_where_both_are_asked_for():
    assert addresses(POOL, service("a", families=(6, 4))) == {"a": ("2001:db8::", "192.0.2.0")}


def test_a_family_that_is_only_preferred_may_be_missing():
    assert addresses(POOL[:1], service("a", families=(4, 6), strict=False)) == {"a": ("192.0.2.0",)}
    assert reason(POOL[:1], "a", service("a", families=(4, 6))) == "PoolExhausted"


def test_a_full_pool_is_told_to_who_came_last():
    services = [service(f"s{n}", created=f"2030-01-0{n}") for n in range(1, 6)]
    found = assigned(POOL, services)
    assert [found[each.key].assigned for each in services] == [True] * 4 + [False]
    assert "add a range" in found[services[-1].key].message


def test_who_goes_gives_its_address_back():
    services = [service(f"s{n}", created=f"2030-01-0{n}") for n in range(1, 6)]
    assert addresses(POOL, *services[1:])["s5"] == ("192.0.2.3",)


def test_an_address_is_shared_on_other_ports_by_those_who_name_it():
    one, other = service("a", TCP80, asked_for=("192.0.2.2",)), service("b", TCP443, UDP80, asked_for=("192.0.2.2",))
    assert addresses(POOL, one, other) == {"a": ("192.0.2.2",), "b": ("192.0.2.2",)}


def test_a_port_has_one_owner():
    one, other = service("a", asked_for=("192.0.2.2",)), service("b", asked_for=("192.0.2.2",))
    assert reason(POOL, "b", one, other) == "PortTaken"


def test_an_address_outside_the_pool_is_refused():
    assert reason(POOL, "a", service("a", asked_for=("198.51.100.1",))) == "AddressRefused"


def test_what_is_not_balanced_is_refused():
    assert reason(POOL, "a", service("a", (80, "SCTP"))) == "ProtocolUnsupported"


FRONT, BACK = {"shop/front": ("192.0.2.0/30",)}, {"shop/back": ("198.51.100.0/30",)}


def test_which_cluster_serves_a_service():
    assert claimed_by({}, FRONT).cluster == "shop/front"
    assert claimed_by({CLUSTER_ANNOTATION: "shop/back"}, FRONT | BACK).cluster == "shop/back"
    for annotations, pools in (({}, {}), ({}, FRONT | BACK), ({CLUSTER_ANNOTATION: "x/y"}, FRONT)):
        claim = claimed_by(annotations, pools)
        assert not claim.cluster
        assert claim.message


def test_another_cluster_takes_no_service_away_from_the_one_that_gave_its_address():
    assert claimed_by({}, FRONT | BACK, ["198.51.100.1"]).cluster == "shop/back"
    assert claimed_by({}, FRONT, ["198.51.100.1"]).cluster == "shop/front", "its own cluster is gone"
    assert not claimed_by({}, FRONT | {"shop/like": FRONT["shop/front"]}, ["192.0.2.1"]).cluster


SERVICES = st.lists(
    st.builds(
        Wanted,
        key=st.builds(ServiceKey, st.just("shop"), st.sampled_from("abcdefghij")),
        created=st.sampled_from(["2030", "2031"]),
        ports=st.lists(st.sampled_from([TCP80, TCP443, UDP80]), min_size=1, unique=True).map(tuple),
        asked_for=st.sampled_from([(), (), ("192.0.2.1",)]),
        held=st.sampled_from([(), ("192.0.2.0",), ("192.0.2.1",)]),
    ),
    unique_by=lambda each: each.key,
)


@given(SERVICES)
def test_no_port_of_an_address_has_two_owners_and_a_second_look_changes_nothing(services):
    first = assigned(POOL, services)
    owned = [(a, port) for each in services for a in first[each.key].addresses for port in each.ports]
    assert len(owned) == len(set(owned))
    settled = [
        Wanted(each.key, each.created, each.ports, asked_for=each.asked_for, held=first[each.key].addresses)
        for each in services
        if first[each.key].assigned
    ]
    assert {key: each.addresses for key, each in assigned(POOL, settled).items()} == {
        key: each.addresses for key, each in first.items() if each.assigned
    }
