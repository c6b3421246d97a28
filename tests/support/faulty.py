"""The product's agent, killed by SIGKILL at one step of its twentieth tick, with a wall clock that jumps, or with a
model that is wrong:

    python -m support.faulty kill:STEP --config agent.yaml
    python -m support.faulty clock --config agent.yaml
    python -m support.faulty model:slow --config agent.yaml

Nothing of this is in the product: the step's function is wrapped from outside before the agent starts.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from typing import Any

from sentinel_agent import __main__ as agent
from sentinel_agent import lane, loop, node
from sentinel_agent.act import orders
from sentinel_agent.predict.keeper import ModelKeeper
from sentinel_bpf.buffer.htb import HtbBuffer
from sentinel_core import score
from support.sessions import model

TICK = 20
BEFORE: dict[str, tuple[Any, str]] = {
    "observe": (lane.Lane, "look"),
    "predict": (lane.Lane, "predict"),
    "signs": (lane.Lane, "signs"),
    "decide": (loop, "decide"),
    "act": (lane.Lane, "act"),
    "report": (node.Node, "_publish"),
    "learn": (score.LiveScore, "step"),
}
AFTER: dict[str, tuple[Any, str]] = {
    "limits-set": (HtbBuffer, "resize"),
    "order-half-written": (orders, "_store"),
    "orders-written": (orders.OrderTable, "write"),
    "reported": (node.Node, "_publish"),
}
STEPS = (*BEFORE, *AFTER)
MODELS = {"nan": model("nan", hazard=float("nan")), "slow": model("slow", delay_s=0.5)}
DAY_NS = 86_400_000_000_000


def kill_at(step: str) -> None:
    holder, name = (BEFORE | AFTER)[step]
    wrapped, calls = getattr(holder, name), 0

    def hurt(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == TICK and step in BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        if calls == TICK and step == "order-half-written":
            given[0]["max_bytes"][:] = 0  # fields before the lease: what a store cut short leaves behind
            os.kill(os.getpid(), signal.SIGKILL)
        result = wrapped(*given, **named)
        if calls == TICK:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(holder, name, hurt)


def jump_about() -> None:
    """Every tick another day: a week on, a week back, and 1970."""
    real, days = time.time_ns, [0, 7, -7, -20_000]
    calls = 0

    def told() -> int:
        nonlocal calls
        calls += 1
        return max(0, real() + days[calls % len(days)] * DAY_NS)

    time.time_ns = told
    time.time = lambda: told() / 1e9


def main() -> None:
    fault = sys.argv.pop(1)
    if fault == "clock":
        jump_about()
    elif fault.startswith("model:"):
        replaced: Any = node
        replaced.ModelKeeper = partial(ModelKeeper, lambda _ref, _digest: MODELS[fault.removeprefix("model:")])
    else:
        kill_at(fault.removeprefix("kill:"))
    agent.main()


if __name__ == "__main__":
    main()
