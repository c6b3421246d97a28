"""The command: compile, listen for a while, show."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Table

from sentinel_api.errors import Invalid
from sentinel_cli.trace import answers, machine
from sentinel_cli.trace.programs import EVENTS, Filter, Kernel, program

if TYPE_CHECKING:
    from sentinel_cli.trace.answers import Row

WIDE: Final = 200  # a file has no width of its own, and half a flow is none
NOTES: Final = {
    "drops": "XDP's own drops are no packets of the kernel yet: `sentinel top` counts them.",
    "sojourn": "Times are from the queue's door to the driver. Of packets dequeued in one go only the first is timed.",
    "retransmits": "As the sockets of this machine sent them; those of machines behind it are not seen.",
    "resizes": "Limits written to mapped memory raise no event and are not seen; what sizes them is `sentinel top`'s.",
}
NOTHING: Final = {
    "drops": "Nothing was dropped.",
    "sojourn": "No packet that went into a queue came out of it.",
    "retransmits": "Nothing was sent again.",
    "resizes": "Nobody asked for another size.",
}


@click.command()
@click.argument("question", type=click.Choice(tuple(EVENTS)))
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True, help="How long to listen."
)
@click.option("--device", default="", help="Only this network device, of the namespace the command runs in.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Only flows with this port at either end.")
@click.option("--class", "class_id", type=click.IntRange(0, 15), help="Only this traffic class, by its id.")
@click.option("--by", type=click.Choice(("class", "flow")), default="class", show_default=True, help="What a row is.")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def trace(question: str, seconds: float, by: str, as_json: bool, **narrowed: Any) -> None:
    """Look into the kernel: what is dropped and why, how long packets wait, what is sent again, who resizes queues.

    Needs root, python3-bpfcc and kernel headers. Filters are compiled in, so that what is left out costs little.

    \b
    Examples:
      sentinel trace drops --device eth0
      sentinel trace sojourn --by flow --port 5432 --seconds 30
      sentinel trace retransmits --json
      sentinel trace resizes
    """
    refuse(question, **narrowed)
    kernel = machine.kernel(question)
    wanted = Filter(_index(narrowed["device"]), _namespace("self"), narrowed["port"], narrowed["class_id"])
    probe = machine.compiled(program(question, kernel, wanted, by == "flow"))
    for event in EVENTS[question]:
        probe.attach_tracepoint(tp=event, fn_name=f"on_{event.partition(':')[2]}")
    with contextlib.suppress(KeyboardInterrupt):
        click.echo(f"listening for {seconds:g} s; Ctrl-C ends it sooner", err=True)
        time.sleep(seconds)
    rows = told(question, kernel, probe)
    if as_json:
        click.echo(json.dumps({"question": question, "seconds": seconds, "rows": rows, "note": NOTES[question]}))
    else:
        show(question, rows)


def refuse(question: str, device: str, port: int, class_id: int | None) -> None:
    """Filters that a question cannot have are refused, not passed over."""
    if question == "retransmits" and (device or class_id is not None):
        raise Invalid("retransmits are told by sockets, which know neither device nor class: filter them by --port")
    if question == "resizes" and (port or class_id is not None):
        raise Invalid("resizes concern devices, neither ports nor single classes: filter them by --device")


def _index(device: str) -> int:
    if not device:
        return 0
    try:
        return socket.if_nametoindex(device)
    except OSError as error:
        raise Invalid(f"there is no device {device!r} here: ip link lists those there are") from error


def told(question: str, kernel: Kernel, probe: Any) -> list[Row]:
    found = [(key, int(count.value)) for key, count in probe["found"].items()]
    names = answers.Names(_device, _of_process, lambda place: probe.ksym(place, show_offset=True).decode())
    if question == "drops":
        return answers.drops(found, kernel.formats["skb:kfree_skb"], names)
    if question == "sojourn":
        return answers.sojourn(found, names)
    return answers.retransmits(found) if question == "retransmits" else answers.resizes(found, names)


def _device(index: int, namespace: int) -> str:
    """Of another namespace only the number can be told."""
    if not index:
        return ""
    try:
        return socket.if_indextoname(index) if namespace == _namespace("self") else f"#{index} elsewhere"
    except OSError:
        return f"#{index}"


def _of_process(index: int, pid: int) -> str:
    try:
        return _device(index, _namespace(pid))
    except OSError:  # it has ended, and took the name of its namespace with it
        return f"#{index}"


def _namespace(process: int | str) -> int:
    return Path(f"/proc/{process}/ns/net").stat().st_ino


def show(question: str, rows: list[Row]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=WIDE)
    if not rows:
        console.print(NOTHING[question])
    else:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        table = Table(*columns, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(str(row.get(name, "")) for name in columns))
        console.print(table)
    console.print(f"\n{NOTES[question]}", style="dim", soft_wrap=True)
