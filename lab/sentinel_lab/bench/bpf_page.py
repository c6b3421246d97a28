"""The page docs/benchmarks/bpf.md, made of stored runs: `python -m sentinel_lab.bench.bpf_page`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).parents[3] / "docs" / "benchmarks"
DATA: Final = DOCS / "data" / "bpf.json"
WITH_XDP_TOOLS: Final = DOCS / "data" / "bpf-xdp-tools.json"  # of an earlier run what others took
PAGE: Final = DOCS / "bpf.md"
# Told as two numbers: the sender's own waits are in both, and the data plane hands no packet to user space.
SIDE_BY_SIDE: Final = {
    "context_switches_per_s": "context switches/s at 20 000 packets/s",
    "copies_per_packet": "copies a packet to user space (by construction, not measured)",
}
BUDGETS_NS: Final = {4096: 140, 65536: 380}  # of all stages, by flows
QUANTILES = ("p50", "p99", "quiet")
# With its budget, where it has one.
MEASURED: Final = {
    "ns_all_1": "",
    "ns_all_4k": str(BUDGETS_NS[4096]),
    "ns_all_64k": str(BUDGETS_NS[65536]),
    "ns_scattered_4k": "",
    "ns_scattered_64k": "",
}
PLANE, READER = "sn_ingress, all stages", "AF_PACKET reader"

HEAD: Final = """<!-- Made from data/bpf.json by `python -m sentinel_lab.bench.bpf_page`: change those, not this. -->
# What the data plane costs a packet

```sh
make -C bpf bench
sudo sentinel bench bpf --json
```

{conditions}

## The program by itself

In the tables stages are named as in `--json`; `probes`, the last to be switched on, stands for all of them.

The shipped `sn_ingress` runs in a loop inside the kernel (`BPF_PROG_TEST_RUN`; a small program makes the same frame one
of another flow each time and jumps to it). The same loop without it is the *harness*, measured in the same rounds and
subtracted. Every program has its turn in every round, and a batch is 256 packets. The objects are loaded four times,
and each figure is the median of the four; *lowest, highest* are the p50 of the best and the worst of them. *quiet* is
the median of the least disturbed round of a load, which on a shared machine says most about the program and least about
its neighbours. "All stages" means parser, counters, shapes, flow table with rules, top flows, sources, virtual queue
with a live order, metadata, tunnels and probes. Four flows share a source. Before any is timed each flow has had some
thirty packets, for its first ones are dearer: it tells its source of them at each power of two. The budget is 140 ns at
4096 flows and 380 ns at 65536.

{budgets}

{over}

All stages on, nanoseconds a packet:

{frames}

*Scattered*: the entries of the flow table lie in another order than the packets come. In the other rows a flow's entry
lies near that of the flow before, so that the processor has it at hand when it is asked for; traffic of many flows at
once does not do it that favour. Then nearly every packet waits for memory three times: for the place in the table, for
the flow's entry, and, as its pane turns, for the end of it.

The processor itself is not always as fast, and rows that wait for no memory show it: {pace}.

IPv4 TCP, one stage after the other switched on, nanoseconds a packet (*quiet*):

{stages}

Each call that was taken out of every packet's way saved 5 to 9 ns (earlier, while the program was written), for returns
are guarded here (Safe RET). With 65536 flows the table no longer fits a core's second cache (1 MiB), and a flow turns
its pane every few packets.

## On the way out, and the first packet of a flow

`sn_egress` in such a loop of its own, with a rate and a mark asked of each class that no packet meets, and `sn_ingress`
where every packet is of another flow. The rules are as many as said, none is true of the packets, and each is found out
by its last comparison. A class is named by a search of the rules once for a flow; on the way out, too, where the packet
answers no flow in the table ("nobody known": its flow was opened here, or comes in elsewhere).

{out}

A rule costs about {rule} ns: 1024 that are all missed make {slow} times the cost of a flow's first packet, and nothing
of its later ones.

## Beside other XDP programs

Each alone in test runs of 60 packets on one frame, in turns; nothing is subtracted, and caches are colder than above.
Programs of xdp-tools are among them where those are installed: `xdp-bench drop` drops without a look, `xdp-forward`
finds the route and the neighbour and redirects. Debian 12's 1.3.1 does not start on this kernel, which lacks the
tracepoint `xdp_redirect_map_err`; what is told of them is of xdp-tools 1.6.3.

{alone}

## The same work without BPF

A reader on a memory-mapped AF_PACKET ring (one copy a packet, no system call while frames wait) that parses with the
same C and counts flow, class and shape, but neither polices nor hands a class on. Each side has a veth cable of its own
with 4096 flows of small TCP frames. *Flood*: one thread sends bursts of 64 and, on the reader's side, also reads them;
nanoseconds of that thread's CPU a packet, and packets a second if it has one core. *20 k*: 20 000 packets/s, sender and
reader in threads of their own; both threads' CPU and context switches, of which the sender makes one a packet. Sending,
the cable and the stack behind are in every figure.

{user}

{ratios}

Two things to know. A veth that has any XDP program copies each packet into a page of its own: that is what the program
that only passes costs over nothing, and no network card with native XDP has it. And in a flood, where a batch of 64
waits for it each time, a reader in user space costs about as much as the data plane does here; at a steady rate it is
woken for almost every packet, and that is what the ratio shows.

## The instructions that the verifier walks

`bpf/budgets.toml` bounds them for every program; `tests/bpf/test_budgets.py` holds each to it.
"""


def page(run: dict[str, Any]) -> str:
    rows, metrics = run["rows"], run["metrics"]
    return HEAD.format(
        conditions=_conditions(run),
        budgets=table(
            ("metric", "p50", "p99", "quiet", "budget"),
            [
                (f"`{name}`", *(f"{metrics[name + kind]:.0f}" for kind in ("", "_p99", "_quiet")), budget)
                for name, budget in MEASURED.items()
            ]
            + [
                ("`ns_drop` (a program that only drops, nothing subtracted)", f"{metrics['ns_drop']:.0f}", "", "", ""),
                ("`ns_harness` (subtracted from the others)", f"{metrics['ns_harness']:.0f}", "", "", ""),
            ],
        ),
        frames=table(
            ("frame", "flows", "p50", "lowest, highest", "p99", "quiet"),
            [_frame(each) for each in rows if each.get("on") == "probes"],
        ),
        pace=_pace(rows),
        stages=_stages(rows),
        out=_out(rows),
        rule=f"{(metrics['ns_first_1024_rules_quiet'] - metrics['ns_first_0_rules_quiet']) / 1024:.1f}",
        slow=f"{metrics['ns_first_1024_rules_quiet'] / metrics['ns_first_0_rules_quiet']:.0f}",
        over=_over(rows),
        alone=_alone(run, json.loads(WITH_XDP_TOOLS.read_text())),
        user=table(
            (
                "side",
                "flood, ns",
                "flood, packets/s",
                "20 k, % of a CPU",
                "switches/s",
                "copies to user space",
                "µs until counted",
            ),
            [_user(each) for each in rows if "side" in each],
        ),
        ratios=table(
            ("reader ÷ data plane", "ratio"),
            [
                ("CPU at 20 000 packets/s (`userspace_ratio`)", f"{metrics['userspace_ratio']:.2f}"),
                ("CPU a packet in a flood (`userspace_flood_ratio`)", f"{metrics['userspace_flood_ratio']:.2f}"),
                ("packets/s of one core, data plane ÷ reader", f"{metrics['userspace_flood_ratio']:.2f}"),
                ("time until counted (`userspace_latency_ratio`)", f"{metrics['userspace_latency_ratio']:.2f}"),
                *(_against_nothing(rows, key, said) for key, said in SIDE_BY_SIDE.items()),
            ],
        ),
    )


def _frame(each: dict[str, Any]) -> tuple[str, ...]:
    p50, p99, quiet = (f"{each[kind]:.0f}" for kind in QUANTILES)
    return each["frame"], str(each["flows"]), p50, f"{each['least']:.0f}, {each['most']:.0f}", p99, quiet


def _over(rows: list[dict[str, Any]]) -> str:
    """Which frames take longer than the budget, so that nobody need look for them in the table."""
    found = [
        f"{each['frame']} at {each['flows']} flows ({each['p50']:.0f} ns, quiet {each['quiet']:.0f})"
        for each in rows
        if each.get("on") == "probes" and each["p50"] > BUDGETS_NS.get(each["flows"], each["p50"])
    ]
    if not found:
        return "The budgets are those of IPv4 TCP; no other frame is over them in this run."
    return f"The budgets are those of IPv4 TCP. Over them in this run: {'; '.join(found)}."


def _alone(run: dict[str, Any], with_xdp_tools: dict[str, Any]) -> str:
    told = {each["program"]: f"{each['ns']:.0f}" for each in run["rows"] if "program" in each}
    earlier = {each["program"]: f"{each['ns']:.0f}" for each in with_xdp_tools["rows"] if "program" in each}
    if earlier.keys() <= told.keys():
        return table(("program", "ns a packet"), list(told.items()))
    said = (
        "They were not installed for this run. The second column is of an earlier one that had them: "
        f"{with_xdp_tools['machine']['date']}, {_load(with_xdp_tools)}."
    )
    names = dict.fromkeys((*told, *earlier))
    rows: list[tuple[str, ...]] = [(name, told.get(name, ""), earlier.get(name, "")) for name in names]
    return f"{said}\n\n" + table(("program", "ns a packet", "earlier"), rows)


def _load(run: dict[str, Any]) -> str:
    values = {each["what"]: each["value"] for each in run["rows"] if "value" in each}
    before, after = (values[f"load average, one minute, at the {when}"] for when in ("start", "end"))
    return f"load average {before:.1f} before, {after:.1f} after"


def _conditions(run: dict[str, Any]) -> str:
    values = {each["what"]: each["value"] for each in run["rows"] if "value" in each}
    machine = run["machine"]
    return (
        "Every number on this page but those marked as earlier is of one run of that command: "
        f"{machine['date']}, kernel {machine['kernel']}, "
        f"{values['processor']}, {machine['cpus']} virtual CPUs shared with other work ({_load(run)})."
    )


def _pace(rows: list[dict[str, Any]]) -> str:
    alone = [each for each in rows if each.get("flows") == 1]
    harness = [each for each in alone if each.get("on") == "harness"]
    plane = [each for each in alone if each.get("on") == "probes" and each["frame"].startswith("IPv4 TCP")]
    spans = [
        f"{min(each['least'] for each in found):.0f} to {max(each['most'] for each in found):.0f} ns"
        for found in (harness, plane)
    ]
    return f"over the loads the harness took {spans[0]} a packet, all stages on IPv4 TCP of one flow {spans[1]}"


def _stages(rows: list[dict[str, Any]]) -> str:
    found = [each for each in rows if each.get("frame") == "IPv4 TCP" and each["on"] not in {"harness", "drop"}]
    names = list(dict.fromkeys(each["on"] for each in found))
    sizes = sorted({each["flows"] for each in found})
    quiet = {(each["on"], each["flows"]): each["quiet"] for each in found}
    return table(
        ("switched on", *(f"{size} flows" for size in sizes)),
        [
            (("+ " if at else "") + name, *(f"{quiet[name, size]:.0f}" for size in sizes))
            for at, name in enumerate(names)
        ],
    )


def _out(rows: list[dict[str, Any]]) -> str:
    return table(
        ("packet", "flows", "rules", "p50", "p99", "quiet"),
        [
            (each["case"], str(each["flows"]), str(each["rules"]), *(f"{each[kind]:.0f}" for kind in QUANTILES))
            for each in rows
            if "case" in each
        ],
    )


def _user(each: dict[str, Any]) -> tuple[str, ...]:
    seen = ""
    if "us_until_counted_p50" in each:
        seen = f"{each['us_until_counted_p50']:.1f} (p99 {each['us_until_counted_p99']:.0f})"
    return (
        each["side"],
        f"{each['ns_per_packet']:.0f}",
        f"{each['packets_per_s_of_one_cpu']:,.0f}",
        f"{each['cpu_percent_at_20k_packets_per_s']:.0f}",
        f"{each['context_switches_per_s']:,.0f}",
        str(each["copies_per_packet"]),
        seen,
    )


def _against_nothing(rows: list[dict[str, Any]], key: str, said: str) -> tuple[str, str]:
    found = {each["side"]: each[key] for each in rows if "side" in each}
    return said, f"{found[READER]:,.0f} to {found[PLANE]:,.0f}"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" if at == 0 else "--:" for at in range(len(head))), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(DATA.read_text())))
