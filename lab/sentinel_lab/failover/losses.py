"""Where packets were lost, as each hop counted it itself: a loss that nobody owns up to cannot be mended."""

from __future__ import annotations

import json
import re
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.error import URLError

from sentinel_lab.failover import plan
from sentinel_lab.namespaces import run

if TYPE_CHECKING:
    from sentinel_lab.failover.stage import Stage
    from sentinel_lab.namespaces import Namespace

NET: Final = Path("/proc/thread-self/net")
NEIGHBOURS: Final = Path("/proc/net/stat/arp_cache")
"""Of all namespaces together, whoever they belong to."""

STACK: Final = {
    "Ip": ("InHdrErrors", "InAddrErrors", "InDiscards", "OutDiscards", "OutNoRoutes"),
    "Udp": ("NoPorts", "InErrors"),
}
BALANCER: Final = (9467, r'sentinel_lb_packets_total\{reason="([^"]+)"\} (\S+)')
AGENT: Final = (9465, r'sentinel_class_drops_total\{class="([^"]+)"[^}]*\} (\S+)')
KNOWN: Final = "known"
"""Of the balancer's reasons the one that nothing is wrong with."""


def counted(stage: Stage) -> Counter[str]:
    """Since each counter began; the difference of two of these is what was lost between."""
    found: Counter[str] = Counter()
    for role, space in stage.spaces.items():
        with space.entered():
            found.update({f"{role}: device {name}": lost for name, lost in _devices(NET / "dev").items()})
            found.update({f"{role}: {name}": lost for name, lost in _stack(NET / "snmp").items()})
    for role in stage.nodes:
        found.update({f"{role}: queue of {name}": lost for name, lost in _queues(stage.spaces[role]).items()})
        found.update({f"{role}: class {name}": lost for name, lost in _told(stage.spaces[role], *AGENT).items()})
    found["machine: packets for neighbours not found"] = _unresolved(NEIGHBOURS)
    told = _told(stage.spaces[plan.EDGE], *BALANCER)
    return found + Counter({f"balancer: {name}": count for name, count in told.items() if name != KNOWN})


def _devices(table: Path) -> dict[str, int]:
    """Both directions; the eighth column of each is nothing's, the fourth is what was dropped."""
    found = {}
    for line in table.read_text().splitlines()[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        found[name.strip()] = int(fields[3]) + int(fields[11])
    return found


def _stack(table: Path) -> dict[str, int]:
    lines = [line.split() for line in table.read_text().splitlines()]
    found = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        layer = names[0].rstrip(":")
        counts = dict(zip(names[1:], values[1:], strict=True))
        found.update({f"{layer}{name}": int(counts[name]) for name in STACK.get(layer, ())})
    return found


def _unresolved(table: Path) -> int:
    """A line for each CPU."""
    names, *rows = (line.split() for line in table.read_text().splitlines())
    column = names.index("unresolved_discards")
    return sum(int(row[column], 16) for row in rows)


def _queues(space: Namespace) -> dict[str, int]:
    found: Counter[str] = Counter()
    for each in json.loads(run("tc", "-n", space.name, "-s", "-j", "qdisc", "show")):
        found[each["dev"]] += each.get("drops", 0)
    return dict(found)


def _told(space: Namespace, port: int, pattern: str) -> dict[str, int]:
    """Of a process that may be away just now."""
    try:
        with space.entered(), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60.0) as answer:
            text = answer.read().decode()
    except (URLError, ConnectionError, TimeoutError):
        return {}
    found: Counter[str] = Counter()
    for name, count in re.findall(pattern, text):
        found[name] += int(float(count))
    return dict(found)
