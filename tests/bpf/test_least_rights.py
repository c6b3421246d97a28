"""The whole way of the data plane, from load to detach, in a process that has three rights and no other."""

import json
import socket
import subprocess
import sys

import pytest

from support.data_plane.agent import OBJECT
from support.frames import udp4

RIGHTS = ("bpf", "net_admin", "perfmon")
PACKETS = 20

CORE = """
import json, sys, time
from pathlib import Path
from sentinel_api.errors import SentinelError
from sentinel_bpf import attach, layout, object, pins, probe
from sentinel_bpf.agent import load_agent
from sentinel_bpf.buffer.htb import HtbBuffer
from sentinel_bpf.buffer.port import Direction, Interface, QueueClass
from sentinel_bpf.buffer.programs import PROGRAMS, QueuePrograms
from sentinel_bpf.ruleset import RuleSet
from sentinel_core.rules import Rule

path, device, where, packets = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
done, told = [], {"rights": sorted(probe.probe().capabilities)}
hooks = {attach.Hook.XDP: "sn_ingress", attach.Hook.TCX_EGRESS: "sn_egress"}

def until(true):
    while not true():
        time.sleep(0.01)

def core():
    agent = load_agent(
        path, max_entries={"sn_flows": 1024}, programs=PROGRAMS | set(hooks.values()), pins=where / "maps"
    )
    done.append("load")
    for hook, name in hooks.items():
        attach.attach(agent.program(name), device, hook, where / hook.value)
    done.append("attach")
    RuleSet(agent).replace([Rule(3, protocol=17)])
    queued = layout.constants(path, "sn_order_flag")["SN_ORDER_QUEUE"]
    agent.map("sn_order").put(3, valid_until_ns=time.monotonic_ns() + 3600 * 10**9, flags=queued)
    buffer = HtbBuffer(Interface(device, Direction.INGRESS, 10**6), QueuePrograms(agent))
    told["tier"] = buffer.probe().tier.value
    buffer.configure([QueueClass(each, 10**5, 10**6, 10**6) for each in (0, 3)])
    done.append("queue")
    print("queued", flush=True)
    sys.stdin.readline()
    buffer.resize({0: 5000, 3: 2 * 10**6})
    done.append("resize")
    until(lambda: buffer.read()[3].sent_packets >= packets)
    told["limits"] = {each: reading.limit_bytes for each, reading in buffer.read().items()}
    told["counted"] = int(agent.map("sn_cells").view()["packets"].sum())
    told["flows"] = len(agent.map("sn_flows").dump()[0])
    done.append("read")
    buffer.detach()
    told["gone"] = [attach.detach(where / hook.value) for hook in hooks]
    done.append("detach")

try:
    core()
except SentinelError as refused:
    print("refused", flush=True)
    told["refused"] = str(refused)
print(json.dumps({"done": done, **told}))
"""


def run_with(rights, device, bpffs, sends):
    bounding = ",".join(["-all", *(f"+{right}" for right in rights)])
    command = ["setpriv", f"--bounding-set={bounding}", "--inh-caps=-all", sys.executable, "-c", CORE]
    arguments = [*command, str(OBJECT), device, str(bpffs), str(PACKETS)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        if child.stdout.readline() == "queued\n":
            sends()
            child.stdin.write("go\n")
            child.stdin.flush()
        answer = child.stdout.read()
    assert child.returncode == 0
    return json.loads(answer)


@pytest.fixture
def sends(veth):
    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((veth[0], 0))
            for _ in range(PACKETS):
                sender.send(udp4(bytes(500)))

    return send


def test_three_rights_are_enough_from_load_to_detach(built, veth, bpffs, sends):
    told = run_with(RIGHTS, veth[1], bpffs, sends)
    assert told.get("refused") is None
    assert told["rights"] == ["BPF", "NET_ADMIN", "PERFMON"]
    assert told["done"] == ["load", "attach", "queue", "resize", "read", "detach"]
    assert (told["tier"], told["limits"]) == ("B", {"0": 5000, "3": 2_000_000})
    assert (told["counted"], told["flows"]) == (PACKETS, 1)
    assert told["gone"] == [True, True]
    left = subprocess.run(["tc", "qdisc", "show"], check=True, capture_output=True, text=True).stdout
    assert "htb" not in left
    assert "clsact" not in left


@pytest.mark.parametrize("taken", RIGHTS)
def test_two_of_them_are_not_and_the_refusal_names_what_is_needed(built, veth, bpffs, sends, taken):
    told = run_with([each for each in RIGHTS if each != taken], veth[1], bpffs, sends)
    assert told["done"] != ["load", "attach", "queue", "resize", "read", "detach"]
    assert f"CAP_{taken.upper()}" in told["refused"]
    assert "needed" in told["refused"]
