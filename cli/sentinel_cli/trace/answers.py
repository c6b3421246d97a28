"""From the counts of a trace to rows for people and programs: pure."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sentinel_cli.trace.programs import NO_CLASS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sentinel_cli.trace.formats import Format

PROTOCOLS: Final = {6: "tcp", 17: "udp"}
REQUESTS: Final = {
    0: "a BPF map's entry (limits of tier A, and every other map)",
    36: "queueing discipline set",
    37: "queueing discipline removed",
    40: "class set",
    41: "class removed",
}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """What only the running machine knows."""

    device: Callable[[int, int], str]
    """By its number and its network namespace."""
    of_process: Callable[[int, int], str]
    """By its number and the process in whose namespace it is."""
    symbol: Callable[[int], str]


def flow(key: Any) -> Row:
    """Empty for a key that tells only the class."""
    found: Row = {} if key.class_id == NO_CLASS else {"class": int(key.class_id)}
    if key.family:
        size = 4 if key.family == 4 else 16
        near, far = (ipaddress.ip_address(bytes(bytearray(each))[:size]) for each in (getattr(key, "from"), key.to))
        found["flow"] = f"{_end(near, key.from_port)} > {_end(far, key.to_port)}"
        found["protocol"] = PROTOCOLS.get(key.protocol, str(key.protocol))
    return found


def _end(address: Any, port: int) -> str:
    if not port:
        return str(address)
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"


def drops(found: Iterable[tuple[Any, int]], told: Format, names: Names) -> list[Row]:
    rows = [
        {
            "reason": told.words.get(key.reason, str(key.reason)),
            "place": names.symbol(key.place),
            "device": names.device(key.device.ifindex, key.device.namespace),
            **flow(key.flow),
            "packets": count,
        }
        for key, count in found
    ]
    return _most(rows, "packets")


def sojourn(found: Iterable[tuple[Any, int]], names: Names) -> list[Row]:
    """Quantiles are upper bounds: times are counted by powers of two of microseconds."""
    slots: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    rows: dict[tuple[str, str], Row] = {}
    for key, count in found:
        row = {"device": names.device(key.device.ifindex, key.device.namespace), **flow(key.flow)}
        name = (row["device"], f"{row.get('class')} {row.get('flow')}")
        rows[name] = row
        slots[name][key.slot] += count
    shown = [
        row
        | {f"p{percent}AtMostMicros": quantile(slots[name], percent) for percent in (50, 95, 99)}
        | {"packets": sum(slots[name].values())}
        for name, row in rows.items()
    ]
    return _most(shown, "packets")


def quantile(slots: Mapping[int, int], percent: int) -> int:
    """Upper end of the slot in which it falls; slot n holds from 2^(n-1) to 2^n - 1, as bcc counts them."""
    wanted, seen = sum(slots.values()) * percent / 100, 0
    for slot in sorted(slots):
        seen += slots[slot]
        if seen >= wanted:
            return int((1 << slot) - 1) if slot else 0
    return 0


def retransmits(found: Iterable[tuple[Any, int]]) -> list[Row]:
    return _most([{**flow(key), "packets": count} for key, count in found], "packets")


def resizes(found: Iterable[tuple[Any, int]], names: Names) -> list[Row]:
    rows = [
        {
            "who": bytes(key.who).split(b"\0")[0].decode(errors="replace"),
            "pid": int(key.pid),
            "what": REQUESTS[key.what],
            **({"device": names.of_process(key.ifindex, key.pid), "handle": _handle(key.handle)} if key.what else {}),
            "times": count,
        }
        for key, count in found
    ]
    return _most(rows, "times")


def _handle(number: int) -> str:
    return f"{number >> 16:x}:{number & 0xFFFF:x}"


def _most(rows: list[Row], by: str) -> list[Row]:
    return sorted(rows, key=lambda row: (-row[by], str(row)))
