"""What the native cluster's name server answers, as values: Services with an address, headless ones, and nobody."""

import dns.message
import dns.rcode
import pytest
import requests

from support.cluster.names import Names, addresses, answer


def service(name, ip, **spec):
    return {
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"clusterIP": ip, "clusterIPs": [ip]} | spec,
    }


def pods(name, *found):
    return {
        "metadata": {"namespace": "shop", "name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [ip], "conditions": {"ready": ready}} for ip, ready in found],
    }


SERVICES = [
    service("web", "10.1.0.9"),
    service("mesh", "None", publishNotReadyAddresses=True),
    service("db", "None"),
    {"metadata": {"namespace": "shop", "name": "outside"}, "spec": {"type": "ExternalName"}},
]
SLICES = [
    pods("web", ("10.2.0.1", True)),
    pods("mesh", ("10.2.0.2", False), ("fd00::2", True)),
    pods("db", ("10.2.0.3", True), ("10.2.0.4", False)),
    {"metadata": {"namespace": "shop", "name": "nobody's"}},
]


@pytest.fixture
def names():
    found = Names("https://127.0.0.1:1", "", requests.Session())  # nobody answers there: what was read last serves
    found.known = addresses(SERVICES, SLICES)
    yield found
    found.session.close()


def asked(names, name, kind="A"):
    found = answer(names, dns.message.make_query(name, kind))
    return found.rcode(), sorted(str(each) for rrset in found.answer for each in rrset)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web.shop.svc.cluster.local.", "A", ["10.1.0.9"]),
        ("web.shop.svc.cluster.local.", "AAAA", []),
        ("mesh.shop.svc.cluster.local.", "A", ["10.2.0.2"]),
        ("mesh.shop.svc.cluster.local.", "AAAA", ["fd00::2"]),
        ("db.shop.svc.cluster.local.", "A", ["10.2.0.3"]),
        ("outside.shop.svc.cluster.local.", "A", []),
    ],
)
def test_a_service_is_known_by_its_address_or_its_pods(names, name, kind, expected):
    assert asked(names, name, kind) == (dns.rcode.NOERROR, expected)


@pytest.mark.parametrize(
    "name", ["gone.shop.svc.cluster.local.", "shop.svc.cluster.local.", "web.shop.svc.", "example.org."]
)
def test_what_is_no_service_does_not_exist(names, name):
    assert asked(names, name) == (dns.rcode.NXDOMAIN, [])
