"""The C parser's answer in the words of the reference, so that the two can be compared as values."""

from pathlib import Path
from typing import Any

from sentinel_bpf import layout, testrun
from sentinel_bpf import object as bpf_object
from support.reference_parser import FOUND, Parsed, parse


class Parser:
    """The parser that ships, in a program that lays its answer open."""

    def __init__(self, path: Path) -> None:
        self._object = bpf_object.load(path)
        self._program = self._object.program("sn_lay_open")
        self._answer = self._object.map("sn_parsed").view()
        self._reasons = {number: name for name, number in layout.constants(path, "sn_reason").items()}
        self._flags = layout.constants(path, "sn_packet_flag")

    def answer(self, frame: bytes) -> Parsed:
        ran = testrun.run(self._program, frame)
        assert (ran.action, ran.data) == (2, frame)
        outcome, packet = int(self._answer["outcome"][0]), self._answer["packet"][0]
        if outcome != FOUND:
            return Parsed(outcome=outcome, reason=self._reasons[int(packet["reason"])].removeprefix("SN_REASON_"))
        return self._found(packet)

    def _found(self, packet: Any) -> Parsed:
        flags, key = int(packet["flags"]), packet["key"]
        has_ports = flags & self._flags["SN_HAS_PORTS"]
        return Parsed(
            version=int(packet["ip_version"]),
            source=key["source"].tobytes(),
            destination=key["destination"].tobytes(),
            protocol=int(key["protocol"]),
            ports=(int(key["source_port"]), int(key["destination_port"])) if has_ports else None,
            dscp=int(packet["dscp"]),
            ecn=int(packet["ecn"]),
            fragment=bool(flags & self._flags["SN_FRAGMENT"]),
            tcp_flags=int(packet["tcp_flags"]),
            timestamps=(int(packet["timestamp"]), int(packet["echo"]))
            if flags & self._flags["SN_TIMESTAMPS"]
            else None,
            network=int(packet["l3_offset"]),
            transport=int(packet["l4_offset"]),
        )


def expected(frame: bytes) -> Parsed:
    """The reference's answer; of a packet that was refused only the outcome and the reason count."""
    found = parse(frame)
    return found if found.outcome == FOUND else Parsed(outcome=found.outcome, reason=found.reason)
