"""A native cluster by hand, for development: python -m support.cluster up|down|load|run (from tests/)."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from support.cluster import binaries, native, slots
from support.cluster.errors import ClusterError
from support.cluster.provider import NodeSpec


def main(arguments: Sequence[str]) -> int:
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.deed(parsed))
    except ClusterError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m support.cluster", description=__doc__)
    deeds = parser.add_subparsers(required=True)
    up = deeds.add_parser("up", help="start a cluster that lasts until `down`")
    up.add_argument("--nodes", type=int, default=3, metavar="N")
    up.add_argument("--label", action="append", default=[], metavar="NODE:KEY=VALUE", help="may be given again")
    up.set_defaults(deed=_up)
    down = deeds.add_parser("down", help="end the clusters that `up` started, or one of them")
    down.add_argument("number", type=int, nargs="?")
    down.set_defaults(deed=_down)
    load = deeds.add_parser("load", help="load an image archive on every node")
    load.add_argument("archive", type=Path)
    load.add_argument("--number", type=int, metavar="N", help="which cluster, where there are several")
    load.set_defaults(deed=_load)
    run = deeds.add_parser("run", help="run a command on a node (a shell by default)")
    run.add_argument("node")
    run.add_argument("argv", nargs=argparse.REMAINDER)
    run.add_argument("--number", type=int, metavar="N", help="which cluster, where there are several")
    run.set_defaults(deed=_run)
    return parser


def _up(parsed: argparse.Namespace) -> int:
    native.check()
    cluster = native.NativeCluster(specs(parsed.nodes, parsed.label), detached=True)
    sys.stdout.write(f"cluster {cluster.slot.number} is up: {', '.join(cluster.nodes)}\n")
    sys.stdout.write(f"export KUBECONFIG={cluster.kubeconfig} PATH={binaries.folder()}:$PATH\n")
    return 0


def _down(parsed: argparse.Namespace) -> int:
    for slot in slots.detached() if parsed.number is None else [_slot(parsed.number)]:
        slots.release(slot)
        sys.stdout.write(f"cluster {slot.number} is down\n")
    return 0


def _load(parsed: argparse.Namespace) -> int:
    for node in native.nodes_of(_slot(parsed.number)).values():
        node.load_image(parsed.archive)
    return 0


def _run(parsed: argparse.Namespace) -> int:
    nodes = native.nodes_of(_slot(parsed.number))
    if parsed.node not in nodes:
        raise ClusterError(f"There is no node '{parsed.node}': there are {', '.join(nodes)}.")
    command = [*nodes[parsed.node].holder.enter(), *(parsed.argv or ["bash"])]
    os.execvp(command[0], command)  # the terminal goes to the command


def _slot(number: int | None) -> slots.Slot:
    found = [slot for slot in slots.detached() if number in (None, slot.number)]
    if len(found) != 1:
        numbers = ", ".join(str(slot.number) for slot in slots.detached()) or "none"
        raise ClusterError(f"Say which cluster with its number (up: {numbers}).")
    return found[0]


def specs(count: int, labels: Sequence[str]) -> tuple[NodeSpec, ...]:
    """`labels`: NODE:KEY=VALUE."""
    names = [f"node{number}" for number in range(1, count + 1)]
    wanted: dict[str, dict[str, str]] = {name: {} for name in names}
    for text in labels:
        node, _, label = text.partition(":")
        key, equals, value = label.partition("=")
        if node not in wanted or not key or not equals:
            raise ClusterError(
                f"'{text}' is no label of a node: write NODE:KEY=VALUE, with NODE one of {', '.join(names)}."
            )
        wanted[node][key] = value
    return tuple(NodeSpec(name, wanted[name]) for name in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
