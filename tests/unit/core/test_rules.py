"""What a match means for packets that arrive and for packets that leave."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.v1alpha1.trafficclass import TrafficClass
from sentinel_core.rules import ANYWHERE, Range, address_range, compiled

CLIENTS = "10.1.0.0/16"


def classes(*matches):
    return [TrafficClass.parse({"name": "db", "match": list(matches)})]


def test_arriving_packets_go_to_the_port_and_come_from_the_clients():
    (rule,) = compiled(classes({"port": 5432, "protocol": "TCP", "cidr": CLIENTS}), {"db": 3}, "Ingress")
    assert (rule.class_id, rule.protocol, rule.destination_ports, rule.source_ports) == (3, 6, (5432, 5432), None)
    assert (rule.source, rule.destination) == (address_range(CLIENTS), Range())


def test_leaving_packets_are_the_mirror_image():
    (rule,) = compiled(classes({"port": 5432, "endPort": 5440, "cidr": CLIENTS}), {"db": 3}, "Egress")
    assert (rule.protocol, rule.destination_ports, rule.source_ports) == (None, None, (5432, 5440))
    assert (rule.source, rule.destination) == (Range(), address_range(CLIENTS))


def test_the_order_of_the_spec_is_kept():
    two = [
        TrafficClass.parse({"name": "a", "match": [{"port": 1}, {"dscp": 46}]}),
        TrafficClass.parse({"name": "b", "match": [{"port": 2}]}),
    ]
    rules = compiled(two, {"a": 2, "b": 1}, "Ingress")
    assert [(rule.class_id, rule.destination_ports, rule.dscp) for rule in rules] == [
        (2, (1, 1), None),
        (2, None, 46),
        (1, (2, 2), None),
    ]


def inside(address: str, covered: Range) -> bool:
    mapped = ipaddress.ip_address(address)
    packed = bytes(10) + b"\xff\xff" + mapped.packed if mapped.version == 4 else mapped.packed
    return all(a & m == c for a, m, c in zip(packed, covered.mask, covered.address, strict=True))


@pytest.mark.parametrize(
    ("cidr", "member", "stranger"),
    [
        ("10.1.0.0/16", "10.1.255.1", "10.2.0.0"),
        ("10.1.2.3/32", "10.1.2.3", "10.1.2.4"),
        ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
    ],
)
def test_a_range_holds_its_members_only(cidr, member, stranger):
    assert inside(member, address_range(cidr))
    assert not inside(stranger, address_range(cidr))


def test_every_address_of_either_family_is_in_the_widest_range():
    assert address_range("::/0").mask == ANYWHERE
    assert inside("192.0.2.1", address_range("::/0"))


@given(st.ip_addresses(), st.data())
def test_an_address_is_in_every_range_cut_from_it(address, data):
    length = data.draw(st.integers(0, address.max_prefixlen))
    assert inside(str(address), address_range(f"{address}/{length}"))
