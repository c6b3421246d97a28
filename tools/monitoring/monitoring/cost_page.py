"""docs/benchmarks/boards.md, from the figures of the last run that was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitoring.cost import STEPS
from monitoring.crowd import BALANCERS, CLASSES, CLUSTERS, VIPS
from monitoring.dashboards import DASHBOARDS

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA: Final = "docs/benchmarks/data/boards.json"
COMMAND: Final = "PYTHONPATH=tests:tools/monitoring .venv/bin/python -m monitoring.cost"
PAGE: Final = """\
<!-- Made from data/boards.json by `make monitoring`; change tools/monitoring, not this page. -->

# What dashboards and alerts cost Prometheus at a thousand nodes

```sh
{command} --nodes {nodes} --json docs/benchmarks/data/boards.json
make monitoring
```

One target speaks for {nodes} agents of one interface and {classes} classes, for {balancers} balancers with {vips}
addresses, and for two operators with {clusters} BufferClusters: the names and labels that they expose, in a calm
state. A real Prometheus (Debian's 2.42) scrapes it and evaluates our rules; then each query of each board is asked as
a board asks it when it is opened (half an hour, a value every 15 s, the first node chosen). Two virtual cores, kernel
6.18, {date}, load {load:.1f}. A load far above one is other work, and makes times upper bounds.

| | |
|---|--:|
| series | {series}, so {per_node} a node |
| one evaluation of all {alerts} alerts | {alerts_s:.2f} s |
| one evaluation of the {sums} kept sums | {sums_s:.2f} s |
| slowest of {queries} queries (*{slow_board}*: {slow_panel}) | {slow_s:.2f} s |
| queries that found nothing to read | {nothing} |
| most lines of a panel's query | {lines} |

That Prometheus had been up for half a minute. A board's whole half hour has {steps} such steps: then a query reads
at most {samples:.1f} million samples (*{most_board}*: {most_panel}), of the fifty million that Prometheus allows one
query by default. Not measured: months of data on a disk, Thanos and its like, Grafana's drawing.

What keeps it so: *Cluster* asks for kept sums or for one sum over all; *Node* and *Forecast quality* begin with one
node, and do not offer all of them; panels with a line a node show twenty. Of the {per_class} series a class has, nine
are its times in the queue as a histogram. A test asks every query at 30 and at 60 nodes: none may find nothing, and
none more lines than before.
"""


def page(found: Mapping[str, Any], per_class: int) -> str:
    queries, rules = found["queries"], found["rules"]
    slowest = max(queries, key=lambda each: each["seconds"])
    most = max(queries, key=lambda each: each["samplesOfAStep"])
    return PAGE.format(
        command=COMMAND, nodes=found["nodes"], classes=len(CLASSES), balancers=BALANCERS, vips=VIPS, clusters=CLUSTERS,
        date=found["date"][:10], load=found["load"], series=f"{found['series']:,}".replace(",", " "),
        per_node=found["series"] // found["nodes"], per_class=per_class,
        alerts=rules["sentinel.alerts"]["rules"], alerts_s=rules["sentinel.alerts"]["seconds"],
        sums=rules["sentinel.sums"]["rules"], sums_s=rules["sentinel.sums"]["seconds"],
        queries=len(queries), slow_board=DASHBOARDS[slowest["board"]].title, slow_panel=slowest["panel"],
        slow_s=slowest["seconds"], nothing=sum(not each["series"] for each in queries),
        lines=max(each["series"] for each in queries), most_board=DASHBOARDS[most["board"]].title,
        most_panel=most["panel"], samples=most["samplesOfAStep"] * STEPS / 1e6, steps=STEPS,
    )  # fmt: skip
