"""Names of Services for a native cluster's pods, from the API server's lists: what CoreDNS does elsewhere.

python -m support.cluster.names ADDRESS SERVER TOKEN_FILE CA_FILE
"""

import ipaddress
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import requests

DOMAIN = dns.name.from_text("svc.cluster.local.")
PORT = 53
FRESH_S = 1.0
REQUEST_S = 5.0
TTL_S = 1
LISTS = ("/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices")
SLICE_LABEL = "kubernetes.io/service-name"
Key = tuple[str, str]  # namespace, name


@dataclass
class Names:
    """What was read last serves while the API server is away."""

    server: str
    token: str
    session: requests.Session
    known: dict[Key, list[str]] = field(default_factory=dict)
    read_at: float = 0.0

    def addresses(self, key: Key) -> list[str] | None:
        """None: there is no such Service."""
        if time.monotonic() - self.read_at > FRESH_S:
            try:
                self.known = addresses(
                    self._list("/api/v1/services"), self._list("/apis/discovery.k8s.io/v1/endpointslices")
                )
                self.read_at = time.monotonic()
            except requests.RequestException as error:
                sys.stderr.write(f"names are as old as they were: {error}\n")
        return self.known.get(key)

    def _list(self, path: str) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        found = self.session.get(self.server + path, headers=headers, timeout=REQUEST_S)
        found.raise_for_status()
        return found.json()["items"]


def addresses(services: list[dict[str, Any]], slices: list[dict[str, Any]]) -> dict[Key, list[str]]:
    """A headless Service's are those of its pods, any other's is its own."""
    found: dict[Key, list[str]] = {}
    unready: set[Key] = set()
    for service in services:
        spec, key = service["spec"], _key(service["metadata"])
        found[key] = [] if spec.get("clusterIP", "None") == "None" else spec["clusterIPs"]
        if spec.get("clusterIP") == "None" and spec.get("publishNotReadyAddresses"):
            unready.add(key)
    for each in slices:
        key = (each["metadata"]["namespace"], each["metadata"].get("labels", {}).get(SLICE_LABEL, ""))
        headless = any(s["spec"].get("clusterIP") == "None" for s in services if _key(s["metadata"]) == key)
        for endpoint in each.get("endpoints") or [] if headless else []:
            if key in unready or endpoint.get("conditions", {}).get("ready", True):
                found[key] += [a for a in endpoint["addresses"] if a not in found[key]]
    return found


def _key(meta: dict[str, Any]) -> Key:
    return meta["namespace"], meta["name"]


def answer(names: Names, query: dns.message.Message) -> dns.message.Message:
    """Names outside the cluster's domain do not exist here: nobody is asked further."""
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA
    asked = query.question[0]
    inner = asked.name.relativize(DOMAIN) if asked.name.is_subdomain(DOMAIN) else dns.name.empty
    labels = [each.decode() for each in inner.labels]
    found = names.addresses((labels[1], labels[0])) if len(labels) == 2 else None
    if found is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
        return response
    version = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}.get(asked.rdtype, 0)
    fitting = [each for each in found if ipaddress.ip_address(each).version == version]
    if fitting:
        response.answer.append(dns.rrset.from_text_list(asked.name, TTL_S, asked.rdclass, asked.rdtype, fitting))
    return response


def serve(names: Names, door: socket.socket) -> None:
    while True:
        packet, caller = door.recvfrom(4096)
        try:
            door.sendto(answer(names, dns.message.from_wire(packet)).to_wire(), caller)
        except (dns.exception.DNSException, IndexError) as error:
            sys.stderr.write(f"a question from {caller[0]} was not understood: {error}\n")


def main(address: str, server: str, token_file: str, ca_file: str) -> None:
    session = requests.Session()
    session.verify, session.trust_env = ca_file, False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind((address, PORT))
        serve(Names(server, Path(token_file).read_text().strip(), session), door)


if __name__ == "__main__":
    main(*sys.argv[1:])
