"""The live view is drawn while whoever measures goes on writing."""

from io import StringIO

from rich.console import Console

from sentinel_lab.experiment import Plan
from sentinel_lab.history import History, Tick
from sentinel_lab.scenario import SINGLE
from sentinel_lab.view import frame

PLAN = Plan(SINGLE, "periodic", "predictive", 30.0)
BURSTY = PLAN.scenario.bursty.id


class Growing(list):
    """A tick is added as soon as somebody has looked at the last one."""

    def __getitem__(self, place):
        found = super().__getitem__(place)
        if place == -1:
            self.append(tick(found.at_ns + 100_000_000))
        return found


def tick(at_ns: int) -> Tick:
    return Tick(at_ns, 1 << 20, 1 << 10, 7, 700, 600, 0, 0, ())


def test_each_node_has_a_line_with_what_it_expects():
    nodes = {
        "node1": History({BURSTY: [tick(0)]}, forecast="a burst in 4.2 s, chance 97%"),
        "node2": History({BURSTY: [tick(0)]}, forecast="no burst expected"),
    }
    screen = StringIO()
    Console(file=screen, width=80).print(frame(PLAN, nodes["node1"], 0, nodes=nodes))
    lines = {line.split()[1]: line for line in screen.getvalue().splitlines() if "node" in line and " 1 " in line}
    assert "burst in 4.2 s" in lines["node1"]
    assert "no burst expected" in lines["node2"]


def test_a_tick_that_comes_while_the_picture_is_drawn_is_in_the_next_one():
    history = History({BURSTY: Growing([tick(0)])})
    screen = StringIO()
    for _ in range(3):
        Console(file=screen, width=100).print(frame(PLAN, history, 0))
    assert "granted" in screen.getvalue()
