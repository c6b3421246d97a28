"""What may happen to a balancer: frames of few flows, and news of its nodes, in any order."""

from hypothesis import strategies as st

from sentinel_core.rules import Rule
from sentinel_lb.decide.ring import Member, pairs
from support.frames import ACK, FIN, ICMP, MORE_FRAGMENTS, RST, SYN, TCP, UDP, ethernet, icmp, ipv4, ipv6, tcp, udp
from support.lb_plane import Twin
from support.reference_balancer import Backend, Flow, ReferenceBalancer, Vip

# Time goes by in steps of 20 s, and no age that matters is a multiple of that: eight real seconds may pass unseen.
STEP_S, AGE_S, IDLE_S, PERIOD_S = 20.0, 48.0, 88.0, 16.0
VIP4, VIP6, STICKY = "198.51.100.9", "2001:db8:1::9", "198.51.100.10"
CLIENT6 = "2001:db8::7"
GOLD = 80  # the port whose class is 1
NODES = 6
RINGS = {gone: pairs([Member(f"node-{i}", i) for i in range(NODES) if i != gone]) for gone in (None, 0, 3)}
MAC = bytes.fromhex("02aabbccdd01")
OWN_MAC = ethernet(b"")[:6]


def class_of(flow: Flow) -> int:
    return 1 if flow.ports[1] == GOLD else 0


def fresh(loaded, *, ring=RINGS[None], nodes=NODES):
    loaded.forget()
    loaded.rules.replace([Rule(1, destination_ports=(GOLD, GOLD))])
    reference = ReferenceBalancer(class_of=class_of, ready_age=AGE_S, mesh_age=AGE_S, now=1000.0)
    twin = Twin(loaded, reference)
    twin.own(OWN_MAC)
    for number in range(nodes):
        twin.backend(number, Backend(f"203.0.113.{number + 1}", MAC))
    for key in ((VIP4, GOLD, TCP), (VIP4, 53, UDP), (VIP4, 0, UDP), (VIP6, GOLD, TCP)):
        twin.vip(*key, Vip(ring, idle=IDLE_S))
    for key in ((STICKY, GOLD, TCP), (STICKY, 53, UDP), (STICKY, 0, UDP)):
        twin.vip(*key, Vip(ring, idle=IDLE_S, sticky=True))
    return twin


def segment(flags=SYN, port=40000, vip=VIP4):
    ends = ("192.0.2.7", vip)
    return ethernet(ipv4(tcp(b"x", flags=flags, source_port=port, ends=ends), protocol=TCP, destination=vip))


def datagram(port=40000, vip=VIP4, fragment=0):
    return ethernet(ipv4(udp(b"x", source_port=port), destination=vip, fragment=fragment))


def segment6(flags, port):
    return ethernet(ipv6(tcp(flags=flags, source_port=port, ends=(CLIENT6, VIP6)), protocol=TCP, destination=VIP6))


def complaint(port, vip):
    sent = ipv4(tcp(source_port=GOLD, destination_port=port), protocol=TCP, source=vip, destination="192.0.2.7")
    return ethernet(ipv4(icmp(3, 1, bytes(4) + sent[:28]), protocol=ICMP, source="192.0.2.254", destination=vip))


PORTS, FOUR = st.integers(40000, 40011), st.sampled_from([VIP4, STICKY])
FRAMES = st.one_of(
    st.builds(segment, st.sampled_from([SYN, SYN, ACK, ACK, FIN | ACK, RST, SYN | ACK]), PORTS, FOUR),
    st.builds(datagram, PORTS, FOUR, st.sampled_from([0, 0, 0, MORE_FRAGMENTS, 185])),
    st.builds(segment6, st.sampled_from([SYN, ACK]), PORTS),
    st.builds(complaint, PORTS, FOUR),
)
NUMBERS = st.integers(0, NODES - 1)
STEPS = st.one_of(
    FRAMES.map(lambda frame: ("send", frame)),
    FRAMES.map(lambda frame: ("send", frame)),
    FRAMES.map(lambda frame: ("send", MAC + frame[6:])),  # another host's
    st.tuples(st.just("served"), st.booleans()),
    st.tuples(st.just("room"), NUMBERS, st.integers(0, 1), st.sampled_from([0, 1000, 1200, 2000, 1 << 46, 1 << 50])),
    st.tuples(st.just("flag"), NUMBERS, st.sampled_from(["present", "draining", "suspected"]), st.booleans()),
    st.tuples(st.just("load"), NUMBERS, st.integers(0, 3)),
    st.tuples(st.just("hear"), NUMBERS, st.sampled_from(["mesh", "seen"])),
    st.tuples(st.just("replace"), NUMBERS),
    st.tuples(st.just("beat")),
    st.tuples(st.just("doubt"), st.sampled_from([8.0, 28.0]), st.sampled_from([12.0, 52.0])),
    st.tuples(st.just("ring"), st.sampled_from([None, 0, 3])),
    st.tuples(st.just("time"), st.sampled_from([STEP_S, STEP_S, 3 * STEP_S])),
)


def carry_out(twin, kind, *what):
    reference = twin.reference
    if kind == "send":
        twin.send(*what)
    elif kind == "room":
        number, class_id, room = what
        reference.backends[number].rooms[class_id] = (room, reference.now)
    elif kind == "flag":
        number, name, value = what
        setattr(reference.backends[number], name, value)
    elif kind == "load":
        reference.backends[what[0]].load = what[1]
    elif kind == "replace":
        reference.backends[what[0]].generation += 1
    elif kind == "served":
        (served,) = what
        twin.vip(VIP4, GOLD, TCP, reference.vips[VIP4, 53, UDP]) if served else twin.withdraw(VIP4, GOLD, TCP)
    elif kind == "ring":
        for key, vip in list(reference.vips.items()):
            twin.vip(*key, Vip(RINGS[what[0]], vip.idle, vip.sticky))
    else:
        _let_time_tell(twin, kind, *what)


def _let_time_tell(twin, kind, *what):
    reference = twin.reference
    if kind == "hear":
        setattr(reference.backends[what[0]], what[1], reference.now)
    elif kind == "beat":
        reference.period, reference.beat = PERIOD_S, reference.now
    elif kind == "doubt":
        before, after = what
        reference.doubt = (reference.now - before, reference.now + after)
    else:
        twin.pass_time(*what)
