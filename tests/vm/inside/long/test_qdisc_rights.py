"""Tier A with the agent's three rights and no other: made in both directions, in another version's place, and ended."""

from __future__ import annotations

import json
import subprocess
import sys

from sentinel_bpf.buffer import discipline
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE
from support import tier_a_node, tier_a_versions
from support.netns import wait_until
from support.tier_a import EXIT_DEVICE
from support.tier_a_versions import OTHER, A

wires, other_home, leaving = tier_a_node.wires, tier_a_versions.other_home, tier_a_versions.leaving  # fixtures

CORE = """
import json, sys
from pathlib import Path
from sentinel_bpf import object as bpf_object, probe
from sentinel_bpf.agent import SHARDED
from sentinel_bpf.buffer import discipline
from sentinel_bpf.buffer.port import Direction, Interface, QueueClass
from sentinel_bpf.buffer.qdisc import Home, QdiscBuffer

path = Path(sys.argv[1])
places = [Interface(sys.argv[2], Direction.EGRESS, 10**7), Interface(sys.argv[3], Direction.INGRESS, 10**7)]
options = bpf_object.Options(sharded=SHARDED, programs=frozenset({"sn_classify"}), max_entries={"sn_flows": 1024})
told = {"rights": sorted(probe.probe().capabilities), "tolls": [], "tiers": [], "limits": []}
with bpf_object.load(path, options) as agent:
    home = Home(path.with_name("qdisc.bpf.o"), discipline.folder())
    buffers = [QdiscBuffer(each, agent, home) for each in places]
    for each in buffers:
        told["tiers"].append(each.probe().tier.value)
        toll = each.configure([QueueClass(number, 10**6, 10**7, 10**6) for number in (0, 1)])
        told["tolls"].append([toll.packets, toll.why])
        each.resize({1: 2 * 10**6})
        told["limits"].append(each._queue.shares["limit_bytes"][1].item())
    print("queued", flush=True)
    sys.stdin.readline()
    for each in buffers:
        toll = each.detach()
        told["tolls"].append([toll.packets, toll.why])
print(json.dumps(told))
"""


def test_three_rights_are_enough(leaving, other_home):
    only = ["setpriv", "--bounding-set=-all,+bpf,+net_admin,+perfmon", "--inh-caps=-all"]
    command = [*only, sys.executable, "-c", CORE, str(OBJECT), EXIT_DEVICE, NODE_DEVICE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "queued\n"
        kinds = run("tc", "qdisc", "show")
        assert (kinds.count(discipline.KIND), kinds.count(OTHER)) == (2, 0)
        assert not list(other_home.pins.glob("*")), "the other version went with its last queue"
        told = json.loads(child.communicate("go\n")[0])
    wait_until(lambda: leaving.received(A) == 60, "all that stood in the other version's queue")
    assert told["rights"] == ["BPF", "NET_ADMIN", "PERFMON"]
    assert (told["tiers"], told["limits"]) == (["A", "A"], [2_000_000, 2_000_000])
    assert told["tolls"] == [[0, []]] * 4, "nothing was lost, and what left was led aside meanwhile"
    assert discipline.KIND not in run("tc", "qdisc", "show")
    assert not list(discipline.folder().glob("*"))
