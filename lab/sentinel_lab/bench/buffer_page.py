"""The page docs/benchmarks/buffer.md, made of a stored run: `python -m sentinel_lab.bench.buffer_page`."""

from __future__ import annotations

import json
from typing import Any, Final

from sentinel_lab.bench.bpf_page import DOCS, table

DATA: Final = DOCS / "data" / "buffer.json"
EXCHANGES: Final = DOCS / "data" / "exchange.json"
PAGE: Final = DOCS / "buffer.md"

HEAD: Final = """<!-- Made from data/buffer.json by `python -m sentinel_lab.bench.buffer_page`; change those. -->
# How fast the buffer's limits move

```sh
make bpf
sudo sentinel bench buffer --json
```

{conditions}

## From the call to the kernel's confirmation

Tier B sends all changed limits in one netlink message, and the kernel's answer to each says what it now has:

{tier_b}

The budget is 1 ms (p99) a changed class. Tier A stores words in memory that the kernel reads at the next packet. It is
measured in the VM lane, whose guest is emulated, so that only its ratio to tier B there means anything:

{tier_a}

## What is lost while limits move

{lost}

Tier B: the limit grows with each of 100 batches of 64 packets; tier A: limits grow and shrink to one byte under load.
Counted are packets that went missing although they had been let into the queue.

## What the way through the ifb costs

The same device with and without a live lease, in turns: with it packets go by classifier, redirect and HTB at a rate
that holds nothing back.

{hop}

## What it costs to exchange a device's root queue

```sh
sudo .venv/bin/python -m sentinel_lab.bench.exchange --json
```

While the kernel exchanges a root queue it drops what stands there and what arrives. *Led aside* is tier A's way to take
the place of another version's queue (docs/design/0011), *plain* is that of a queue's first coming and its end;
{exchanges} of each, in turns, beside numbered packets of one thread. *Sent* are the packets from 50 ms before each to
50 ms after it.

{exchange}

{load}
"""


def page(run: dict[str, Any]) -> str:
    metrics = run["metrics"]
    return HEAD.format(
        conditions=_conditions(run),
        tier_b=table(
            ("classes at once", "p50, µs", "p99, µs"),
            [
                (str(count), *(f"{metrics[f'tier_b_resize{name}_{which}_us']:.0f}" for which in ("p50", "p99")))
                for count, name in ((1, ""), (16, "_16"))
            ],
        ),
        tier_a=table(
            ("classes at once", "tier A ÷ tier B, median"),
            [
                (str(count), f"{metrics[name]:.3f}")
                for count, name in ((1, "tier_a_vs_b_resize_ratio"), (16, "tier_a_vs_b_resize_16_ratio"))
            ],
        ),
        lost=table(
            ("tier", "packets lost"), [(tier.upper(), f"{metrics[f'tier_{tier}_lost']:.0f}") for tier in ("a", "b")]
        ),
        hop=table(
            ("", "through the queue", "past it", "the hop"),
            [
                (
                    "packets/s, one thread sends and receives",
                    *(f"{metrics[f'packets_per_s_{way}_queue']:,.0f}" for way in ("through", "past")),
                    f"{metrics['ifb_hop_ns_per_packet']:,.0f} ns",
                ),
                ("one packet at a time", *_trips(run), f"{metrics['ifb_hop_us']:.1f} µs"),
            ],
        ),
        **_exchange(json.loads(EXCHANGES.read_text())),
    )


def _exchange(run: dict[str, Any]) -> dict[str, str]:
    metrics, machine = run["metrics"], run["machine"]
    (load,) = run["rows"]
    counts = ("sent", "lost", "overtaken")
    return {
        "exchanges": f"{metrics['exchanges']:.0f}",
        "exchange": table(
            ("", "median, ms", "most, ms", *(f"packets {count}" for count in counts)),
            [
                (
                    said,
                    *(f"{metrics[f'exchange_{which}_{what}_ms']:.1f}" for what in ("p50", "most")),
                    *(f"{metrics[f'exchange_{which}_{count}']:,.0f}" for count in counts),
                )
                for which, said in (("aside", "led aside"), ("plain", "plain"))
            ],
        ),
        "load": (
            f"A run of its own: {machine['date']}, kernel {machine['kernel']}, "
            f"load average {load['before']:.1f} before, {load['after']:.1f} after."
        ),
    }


def _conditions(run: dict[str, Any]) -> str:
    (load,) = (each for each in run["rows"] if each["what"].startswith("load average"))
    machine = run["machine"]
    return (
        "Every number but those of the last section is of one run of that command: "
        f"{machine['date']}, kernel {machine['kernel']}, "
        f"{machine['cpus']} virtual CPUs shared with other work (load average {load['before']:.1f} before, "
        f"{load['after']:.1f} after what is measured here; the guest's ratios came after that)."
    )


def _trips(run: dict[str, Any]) -> tuple[str, str]:
    (trip,) = (each for each in run["rows"] if each["what"].startswith("one way"))
    return f"{trip['through_queue']:.1f} µs", f"{trip['past_queue']:.1f} µs"


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(DATA.read_text())))
