"""FRR's configuration for a balancer, as text: our side of BGP and BFD, written by nobody else.

Addresses come and go on the loopback device, and FRR announces what it finds there: that takes milliseconds and no
reload. The configuration only says which addresses are ours to announce, to whom, and how.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sentinel_api.v1alpha1.loadbalancer import Bgp, Peer

KEEPALIVE_S, HOLD_S, CONNECT_S = 1, 3, 1  # the least that BGP can; BFD is what is fast
FAMILIES: Final = {4: "ipv4", 6: "ipv6"}


@dataclass(frozen=True, slots=True)
class Speaker:
    """What is announced, and as whom. `going`: neighbours shall prefer everybody else (RFC 8326)."""

    bgp: Bgp
    router_id: str
    addresses: tuple[str, ...]
    passwords: Mapping[str, str]  # by the name of the secret
    going: bool = False


def rendered(speaker: Speaker) -> str:
    """The same for equal speakers, so that an unchanged configuration is never reloaded."""
    lines = [
        "! written by sentinel-lb: what is changed here by hand is lost",
        "frr defaults traditional",
        "log syslog warnings",
        *_owned(speaker.addresses),
        *_maps(speaker.bgp),
        *_bfd(speaker.bgp.peers),
        *_router(speaker),
    ]
    return "\n".join(lines) + "\n"


def _owned(addresses: Iterable[str]) -> Iterable[str]:
    """A list of a family that has no address denies everything: an absent one would permit it."""
    by_family: dict[int, list[str]] = {4: [], 6: []}
    for each in addresses:
        address = ipaddress.ip_address(each)
        by_family[address.version].append(f"{address}/{address.max_prefixlen}")
    for version, prefixes in by_family.items():
        word = "ip" if version == 4 else "ipv6"
        for number, prefix in enumerate(sorted(prefixes), 1):
            yield f"{word} prefix-list sentinel-own seq {5 * number} permit {prefix}"
        everything = "0.0.0.0/0" if version == 4 else "::/0"
        yield f"{word} prefix-list sentinel-own seq 10000 deny {everything} le {32 if version == 4 else 128}"


def _maps(bgp: Bgp) -> Iterable[str]:
    for word in ("ip", "ipv6"):
        yield f"route-map sentinel-own-{word} permit 10"
        yield f" match {word} address prefix-list sentinel-own"
        yield "exit"
    yield "route-map sentinel-out permit 10"
    if bgp.communities:
        yield f" set community {' '.join(bgp.communities)} additive"
    yield f" set local-preference {bgp.local_preference}"
    yield f" set metric {bgp.med}"
    yield "exit"
    yield "route-map sentinel-in deny 10"
    yield "exit"


def _router(speaker: Speaker) -> Iterable[str]:
    bgp = speaker.bgp
    yield f"router bgp {bgp.local_asn}"
    yield f" bgp router-id {speaker.router_id}"
    yield " no bgp default ipv4-unicast"
    if bgp.graceful_restart_seconds:
        yield " bgp graceful-restart"
        yield f" bgp graceful-restart restart-time {bgp.graceful_restart_seconds}"
    else:  # FRR helps others to restart by default, and what it says of that makes routers keep our routes as well
        yield " bgp graceful-restart-disable"
    if speaker.going:
        yield " bgp graceful-shutdown"
    for peer in bgp.peers:
        yield from _neighbour(peer, speaker.passwords)
    for version, family in FAMILIES.items():
        yield f" address-family {family} unicast"
        yield f"  redistribute connected route-map sentinel-own-{'ip' if version == 4 else 'ipv6'}"
        for peer in _told(bgp.peers, version):
            yield f"  neighbor {peer.address} activate"
            yield f"  neighbor {peer.address} route-map sentinel-out out"
            yield f"  neighbor {peer.address} route-map sentinel-in in"
        yield " exit-address-family"
    yield "exit"


def _told(peers: Sequence[Peer], version: int) -> Sequence[Peer]:
    """Each session carries its own family; where no peer speaks over the other one, all carry both."""
    same = [peer for peer in peers if ipaddress.ip_address(peer.address).version == version]
    return same or peers


def _neighbour(peer: Peer, passwords: Mapping[str, str]) -> Iterable[str]:
    start = f" neighbor {peer.address}"
    yield f"{start} remote-as {peer.asn}"
    if peer.port != 179:
        yield f"{start} port {peer.port}"
    if peer.password_secret:
        yield f"{start} password {_password(peer, passwords)}"
    yield f"{start} timers {KEEPALIVE_S} {HOLD_S}"
    yield f"{start} timers connect {CONNECT_S}"
    if peer.bfd.enabled:
        yield f"{start} bfd"
        yield f"{start} bfd profile {_profile(peer)}"


def _password(peer: Peer, passwords: Mapping[str, str]) -> str:
    """TCP takes 80 bytes; a space would end the word and the rest be a command."""
    found = passwords.get(peer.password_secret, "")
    if not found or len(found) > 80 or not found.isprintable() or " " in found:
        raise Invalid(f"the password of peer {peer.address} must be 1 to 80 printable characters without a space")
    return found


def _bfd(peers: Sequence[Peer]) -> Iterable[str]:
    """As profiles: a peer that is named here makes a session of its own, beside the one that BGP asks for."""
    profiles = {_profile(peer): peer.bfd for peer in peers if peer.bfd.enabled}
    if not profiles:
        return
    yield "bfd"
    for name, chosen in sorted(profiles.items()):
        yield f" profile {name}"
        yield f"  detect-multiplier {chosen.multiplier}"
        yield f"  transmit-interval {chosen.interval_millis}"
        yield f"  receive-interval {chosen.interval_millis}"
        yield " exit"
    yield "exit"


def _profile(peer: Peer) -> str:
    return f"sentinel-{peer.bfd.interval_millis}x{peer.bfd.multiplier}"
