"""The shipped program on a real interface: replaced under traffic, answering probes, and outliving its agent."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sentinel_bpf import attach, layout, pinned, ruleset
from sentinel_bpf.agent import load_agent
from sentinel_bpf.attach import Hook
from sentinel_core.rules import Rule
from support.data_plane.agent import MAY_PROBE, OBJECT, DataPlane
from support.data_plane.probes import ANSWER, answered, asked, payload
from support.frames import FRAGMENT, UDP, ethernet, fragment6, ipv4, ipv6, udp, udp4, udp6

ALL_PROTOCOLS = 3
PACKETS, BATCH = 100_000, 100
SIZES = {"sn_flows": 4096}
PATIENCE_S = 60.0  # ends what hangs, and proves nothing
INGRESS = frozenset({"sn_ingress"})

# An agent that orders everything to be dropped, says so, and hangs.
AGENT = """
import sys, time
from pathlib import Path
from sentinel_bpf import attach
from sentinel_bpf.agent import load_agent
path, interface, where, lease_ns = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
held = load_agent(path, max_entries={"sn_flows": 4096}, programs=frozenset({"sn_ingress"}), pins=where / "maps")
attach.attach(held.program("sn_ingress"), interface, attach.Hook.XDP, where / "link")
until = time.monotonic_ns() + lease_ns
held.map("sn_order").put(0, valid_until_ns=until, drain_Bps=1, max_bytes=0, flags=1)
print(until, flush=True)
time.sleep(600)
"""


class Reasons:
    """Why packets left, since this was made; read from the maps that an agent pinned."""

    def __init__(self, maps: Path) -> None:
        self.names = layout.constants(OBJECT, "sn_reason")
        with pinned.maps(OBJECT, maps) as found:
            self.cells = found["sn_reasons"].view()["packets"].reshape(-1, self.names["SN_REASONS"])
        self.before = self.cells.sum(axis=0)

    def all(self, patience_for: int = 0) -> int:
        """Waits for so many, but not for ever: what is asserted then says what was missing."""
        deadline = time.monotonic() + PATIENCE_S
        while (self.cells.sum(axis=0) - self.before).sum() < patience_for and time.monotonic() < deadline:
            time.sleep(0.001)
        return int((self.cells.sum(axis=0) - self.before).sum())

    def of(self, name: str) -> int:
        return int((self.cells.sum(axis=0) - self.before)[self.names[f"SN_REASON_{name}"]])


class Cable:
    """Frames in at one end; at the other what XDP passed on, seen as the stack sees it."""

    def __init__(self, near: str, far: str) -> None:
        self.near, self.far = (
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) for _ in ("near", "far")
        )
        self.near.bind((near, 0))
        self.far.bind((far, 0))
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)

    def send(self, frame: bytes, count: int = 1) -> None:
        for _ in range(count):
            self.near.send(frame)

    def passed(self, frame: bytes, expected: int, patience_s: float = PATIENCE_S, size: int = 4096) -> int:
        """How many of `frame` came through; waits no longer once all have."""
        found, deadline = 0, time.monotonic() + patience_s
        self.far.settimeout(0.1)
        while found < expected and time.monotonic() < deadline:
            try:
                found += self.far.recv(size) == frame
            except TimeoutError:
                continue
        return found

    def returned(self, test, patience_s: float = PATIENCE_S) -> bytes:
        deadline = time.monotonic() + patience_s
        self.near.settimeout(0.1)
        while time.monotonic() < deadline:
            try:
                found = self.near.recv(4096)
            except TimeoutError:
                continue
            if test(found):
                return found
        return b""


@pytest.fixture
def cable(veth):
    made = Cable(*veth)
    yield made
    made.near.close()
    made.far.close()


@pytest.mark.timeout(600)
def test_an_upgrade_under_traffic_loses_no_packet_and_misplaces_none(built, cable, veth, bpffs):
    """Two loads of the program share its maps and take turns on the link while packets flow."""
    frame, sent = udp4(), 0
    with (
        load_agent(OBJECT, max_entries=SIZES, programs=INGRESS, pins=bpffs / "maps") as one,
        load_agent(OBJECT, max_entries=SIZES, programs=INGRESS, pins=bpffs / "maps") as other,
    ):
        ruleset.RuleSet(one).replace([Rule(4, protocol=UDP)])
        attach.attach(one.program("sn_ingress"), veth[1], Hook.XDP, bpffs / "link")

        done, swaps = threading.Event(), itertools.count()

        def swap() -> None:
            while not done.is_set():
                program = (other, one)[next(swaps) % 2].program("sn_ingress")
                attach.attach(program, veth[1], Hook.XDP, bpffs / "link")
                time.sleep(0.001)  # or swapping is all that a starved machine does

        swapper = threading.Thread(target=swap)
        swapper.start()
        try:
            while sent < PACKETS:
                cable.send(frame, BATCH)
                sent += BATCH
                assert cable.passed(frame, BATCH) == BATCH
        finally:
            done.set()
            swapper.join()
        assert next(swaps) > 2
        cells = one.map("sn_cells").view()["packets"].reshape(-1, 16).sum(axis=0)
        assert (int(cells[4]), int(cells.sum() - cells[0])) == (sent, sent)
        assert len(one.map("sn_flows").dump()[0]) == 1


def test_a_probe_comes_back_over_the_wire(load, cable, veth, bpffs):
    # XDP_TX on veth works only towards a peer that runs a program, too.
    peer = load("test/bank", rodata={"verdict": 2})
    attach.attach(peer.object.program("count"), veth[0], Hook.XDP, bpffs / "peer")
    plane = DataPlane(sizes=SIZES, sn_probes_on=1)
    plane.allow("192.0.2.0/24", MAY_PROBE)
    attach.attach(plane.program, veth[1], Hook.XDP, bpffs / "link")
    cable.send(asked(payload()))
    wanted = answered(payload(ANSWER))
    assert cable.returned(lambda frame: frame == wanted) == wanted


def killed_agent(interface: str, where: Path, lease_ns: int) -> int:
    """When the lease ends of an agent that was killed as soon as it had ordered."""
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, OBJECT, interface, where, str(lease_ns)], stdout=subprocess.PIPE, text=True
    )
    with agent:
        until = int(agent.stdout.readline())
        os.kill(agent.pid, signal.SIGKILL)
    return until


def test_an_agent_killed_in_the_middle_drops_until_its_lease_ends_and_then_nothing(built, cable, veth, bpffs):
    """A machine so slow that the lease ended before all was sent is asked again, with a longer one."""
    frame, in_time = udp4(), False
    for lease_s in (3, 12, 48):
        until = killed_agent(veth[1], bpffs, lease_s * 10**9)
        reasons = Reasons(bpffs / "maps")
        cable.send(frame, 20)
        assert reasons.all(patience_for=20) == 20
        in_time = time.monotonic_ns() < until
        if in_time:
            break
        assert cable.passed(frame, 20 - reasons.of("OVER_LIMIT")) == 20 - reasons.of("OVER_LIMIT")
    assert in_time, "no lease was long enough for this machine"
    assert reasons.of("OVER_LIMIT") == 20
    while time.monotonic_ns() < until:
        time.sleep(0.01)
    cable.send(frame, 50)
    assert cable.passed(frame, 50) == 50
    assert (reasons.all(patience_for=70), reasons.of("LEASE_OVER")) == (70, 50)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(udp6(), id="IPv6"),
        pytest.param(ethernet(ipv4(udp(bytes(1400)))), id="a full frame"),
        pytest.param(ethernet(ipv6(fragment6(UDP, 3, more=False) + b"rest", protocol=FRAGMENT)), id="a fragment"),
    ],
)
def test_what_passes_reaches_the_stack_as_it_came(load_plane, cable, veth, bpffs, frame):
    attach.attach(load_plane().program, veth[1], Hook.XDP, bpffs / "link")
    cable.send(frame, 3)
    assert cable.passed(frame, 3) == 3


@pytest.mark.parametrize("size", [3600, 5000, 8900])
def test_a_jumbo_frame_is_counted_whole_and_passes_as_it_came(load_plane, cable, veth, bpffs, size):
    """In the driver, and in fragments: a page holds no more than 3506 bytes of it."""
    for end in veth:
        subprocess.run(["ip", "link", "set", end, "mtu", "9000"], check=True)
    frame, plane = udp4(bytes(size)), load_plane()
    assert attach.attach(plane.program, veth[1], Hook.XDP, bpffs / "link").mode is attach.Mode.NATIVE
    cable.send(frame, 3)
    assert cable.passed(frame, 3, size=1 << 14) == 3
    assert (plane.cell()["packets"], plane.cell()["bytes"]) == (3, 3 * len(frame))
    assert plane.reasons() == {"NO_ORDER": 3}
