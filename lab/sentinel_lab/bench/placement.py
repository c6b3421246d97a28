"""`sentinel bench placement`: drops and waits by where new flows go, while rooms differ and bursts move about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from sentinel_lab.bench import moved, placement_live
from sentinel_lab.bench.output import tell
from sentinel_lab.namespaces import require_root, unwind_when_told
from sentinel_lab.sim.cluster import STEP_S, Flows, even, placed
from sentinel_lab.sim.placements import POLICIES, ring_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sentinel_lab.sim.cluster import Floats, Ints

OURS: Final = "readiness"
NODES: Final = 16
DRAIN: Final = 12_500_000.0  # bytes a second
LIMIT: Final = 1_000_000.0
SECONDS, QUICK_SECONDS = 60.0, 30.0
SEEDS, QUICK_SEEDS = 20, 6
NEWS_AGE_STEPS: Final = 2  # a tick of the agent, the mesh, a tick of the balancer
FLOW_S: Final = 2.0  # how long one lasts on average
FLOWS_A_SECOND: Final = 400.0
SKEW: Final = 1.2  # sigma of the logarithm of a flow's rate: one in a hundred sends sixteen times what the middle does
RESAMPLED: Final = 4000


@dataclass(frozen=True, slots=True)
class Scenario:
    """`load`: share of all nodes' drain that flows ask for. The rest is local: so many nodes are busy with so much of
    their drain, and after `moves_s` others are. `burst`: how many times as many flows begin, one second in eight."""

    load: float
    busy_nodes: int = 0
    busy_share: float = 0.0
    moves_s: float = 0.0
    burst: float = 1.0


SCENARIOS: Final = {
    "even": Scenario(load=0.8),
    "skewed": Scenario(load=0.6, busy_nodes=4, busy_share=0.6),
    "moving": Scenario(load=0.5, busy_nodes=4, busy_share=0.9, moves_s=4.0),
    "moving_bursts": Scenario(load=0.4, busy_nodes=4, busy_share=0.9, moves_s=4.0, burst=3.0),
}


@click.command("placement")
@click.option("--seeds", type=click.IntRange(1, 1000), help="How many runs of each, with other traffic each time.")
@click.option("--namespaces/--simulator", "live", default=False, help="On real packets.")
@click.option("--moved", "moves", is_flag=True, help="On real packets: is there room before a moved burst comes?")
@click.option("--quick", is_flag=True, help="Fewer and shorter runs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def placement(seeds: int | None, live: bool, moves: bool, quick: bool, as_json: bool) -> None:
    """Compare where new flows go: by published room, plain Maglev, in turn, by fewest connections.

    \b
    Examples:
      sentinel bench placement --json
      sudo sentinel bench placement --namespaces --json
      sudo sentinel bench placement --moved --json
    """
    if moves:
        require_root()
        unwind_when_told()
        tell("placement", *moved.moved(seeds or (moved.QUICK_ROUNDS if quick else moved.ROUNDS)), as_json=as_json)
        return
    if live:
        require_root()
        unwind_when_told()
        rounds = seeds or (placement_live.QUICK_ROUNDS if quick else placement_live.ROUNDS)
        told, shown = placement_live.live(rounds, placement_live.QUICK_SECONDS if quick else placement_live.SECONDS)
        tell("placement", told, shown, as_json=as_json)
        return
    runs = seeds or (QUICK_SEEDS if quick else SEEDS)
    seconds = QUICK_SECONDS if quick else SECONDS
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    everything: dict[str, list[float]] = {name: [] for name in POLICIES}
    for name, scenario in SCENARIOS.items():
        click.echo(f"{name}: {runs} runs of {seconds:g} s of each policy", err=True)
        found = {policy: [outcome(scenario, policy, seed, seconds) for seed in range(runs)] for policy in POLICIES}
        rows += compared(name, found)
        for policy, pairs in found.items():
            metrics[f"{name}.drops_{policy}"] = float(np.mean([drops for drops, _ in pairs]))
            metrics[f"{name}.p99_ms_{policy}"] = float(np.mean([wait for _, wait in pairs]))
            everything[policy] += [drops for drops, _ in pairs]
    metrics |= {f"drops_{policy}": float(np.mean(drops)) for policy, drops in everything.items()}
    tell("placement", metrics, rows, as_json=as_json)


def outcome(scenario: Scenario, policy: str, seed: int, seconds: float) -> tuple[float, float]:
    """Share of bytes dropped, and the 99th percentile of waits in milliseconds."""
    chosen = POLICIES[policy](ring_of(NODES), NODES, seed)
    fleet = even(NODES, DRAIN, LIMIT)
    flows = traffic(scenario, seed, seconds)
    foreign = local_load(scenario, seed, flows.steps)
    found = placed(fleet, flows, chosen, NEWS_AGE_STEPS, foreign)
    return found.drop_share, found.wait_ms(0.99)


def traffic(scenario: Scenario, seed: int, seconds: float) -> Flows:
    """The same for every policy."""
    random = np.random.default_rng([1, seed])
    steps = round(seconds / STEP_S)
    in_burst = np.arange(steps) * STEP_S % 8.0 < 1.0
    begin = random.poisson(FLOWS_A_SECOND * STEP_S * np.where(in_burst, scenario.burst, 1.0))
    first: Ints = np.repeat(np.arange(steps), begin)
    lasts = np.maximum(1, random.exponential(FLOW_S / STEP_S, len(first))).astype(np.int64)
    rates = random.lognormal(0.0, SKEW, len(first))
    usual = FLOWS_A_SECOND * float(np.mean(lasts)) * STEP_S * np.exp(SKEW**2 / 2)
    rates *= scenario.load * NODES * DRAIN / usual
    return Flows(first, np.minimum(first + lasts, steps), rates, random.integers(0, 2**63, len(first), np.uint64))


def local_load(scenario: Scenario, seed: int, steps: int) -> Floats:
    """By step and node."""
    random = np.random.default_rng([2, seed])
    found = np.zeros((steps, NODES))
    stay = round(scenario.moves_s / STEP_S) or steps
    for start in range(0, steps, stay):
        busy = random.choice(NODES, scenario.busy_nodes, replace=False)
        found[start : start + stay, busy] = scenario.busy_share * DRAIN
    return found


def compared(name: str, found: dict[str, list[tuple[float, float]]]) -> list[dict[str, Any]]:
    """With 95 % intervals over the runs, and of what each rival drops more than ours in the same run."""
    ours = np.array([drops for drops, _ in found[OURS]])
    rows = []
    for policy, pairs in found.items():
        drops, waits = (np.array(each) for each in zip(*pairs, strict=True))
        row: dict[str, Any] = {"scenario": name, "policy": policy, "runs": len(pairs)}
        row |= {"drop_percent": 100 * float(drops.mean()), "drop_percent_95": interval(100 * drops)}
        row |= {"p99_ms": float(waits.mean()), "p99_ms_95": interval(waits)}
        if policy != OURS:
            row |= {"more_than_ours_points": 100 * float((drops - ours).mean())}
            row |= {"more_than_ours_points_95": interval(100 * (drops - ours))}
        rows.append(row)
    return rows


def interval(values: NDArray[np.float64]) -> Sequence[float]:
    """Of the mean, by drawing runs again."""
    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (RESAMPLED, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return [float(low), float(high)]
