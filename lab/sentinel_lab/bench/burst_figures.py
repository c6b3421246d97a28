"""From clean samples to figures with intervals: by pattern and policy, and the product against its rivals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_lab import waits
from sentinel_lab.bench.burst_samples import MIXED_PATTERN, POOL_RIVALS, Row, of_policy
from sentinel_lab.policies import PRODUCT
from sentinel_lab.results import jain
from sentinel_lab.scenario import of_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

RESAMPLES: Final = 2_000
ABOUT, BESIDE = "about", "beside"
ENOUGH_PERCENT: Final = 0.1
"""Of the bursty class's packets may be dropped in the smallest pool that still counts."""
NO_WORSE: Final = 1.05
"""Of a delay or a goodput: what two runs of the same rule differ by here."""


def metrics(rows: Sequence[Row]) -> dict[str, float]:
    """By stable names; what could not be measured is absent. `_low` and `_high` bound 95 % of resampled rounds."""
    found: dict[str, float] = {}
    for pattern in sorted({row["name"] for row in rows}):
        mine = [row for row in rows if row["name"] == pattern and _is_standard(row)]
        for policy in sorted({row["policy"] for row in mine}):
            for name, figure in FIGURES.items():
                found |= _with_interval(f"{pattern}.{policy}.{name}", of_policy(mine, policy), figure)
            found |= _each_class(f"{pattern}.{policy}", of_policy(mine, policy))
        found |= {f"{pattern}.{name}": value for name, value in against(mine).items()}
        found |= _robust(pattern, [row for row in rows if row["name"] == pattern])
    return found | pools([row for row in rows if row["name"] == MIXED_PATTERN])


def beside(rows: Sequence[Row], pattern: str, policy: str) -> dict[str, float]:
    """Of the bystander's packets of all rounds; nothing of rows that were taken before these were told apart."""
    mine = [row for row in of_policy(rows, policy) if row["name"] == pattern and _is_standard(row)]
    return waits.together([row["beside_waits"] for row in mine if row.get("beside_waits")])


def _is_standard(row: Row) -> bool:
    """Sweeps are told apart: averages over other links or pools mean nothing."""
    scenario = of_pattern(row["name"])
    return bool(
        row["drain_bytes_per_s"] == scenario.drain_bytes_per_s
        and row["floor_bytes"] == scenario.floor_bytes
        and row["pool_bytes"] == scenario.pool_bytes
    )


def _class(row: Row, name: str = ABOUT) -> Mapping[str, Any]:
    """Those whom the scenario is about, and beside whom, go by what they are there for."""
    meant = row.get(name, {ABOUT: "bursty", BESIDE: "bystander"}[name]) if name in (ABOUT, BESIDE) else name
    return next(each for each in row["classes"] if each["name"] == meant)


def _mean(of: str, who: str = ABOUT, scale: float = 1.0) -> Callable[[Sequence[Row]], float]:
    return lambda rows: float(np.mean([_class(row, who)[of] for row in rows])) / scale


def _drop_percent(rows: Sequence[Row]) -> float:
    sent = sum(_class(row)["sent"] for row in rows)
    return 100.0 * sum(_class(row)["dropped"] for row in rows) / sent if sent else 0.0


def _node(of: str) -> Callable[[Sequence[Row]], float]:
    return lambda rows: float(np.mean([row["node"][of] for row in rows])) / 1024


def _fairness(rows: Sequence[Row]) -> float:
    """Jain's index over the shares of what they sent that the classes got through: 1 when none suffers more."""
    through = [[1 - each["dropped"] / max(1, each["sent"]) for each in row["classes"]] for row in rows]
    return float(np.mean([jain(each) for each in through]))


FIGURES: Final[dict[str, Callable[[Sequence[Row]], float]]] = {
    "drop_percent": _drop_percent,
    "goodput_mb_per_s": _mean("goodput_bytes_per_s", scale=1e6),
    "delay_ms_p99": _mean("delay_ms_p99"),
    "sojourn_ms_p50": _mean("sojourn_ms_p50"),
    "sojourn_ms_p95": _mean("sojourn_ms_p95"),
    "sojourn_ms_p99": _mean("sojourn_ms_p99"),
    "bystander_ms_p99": _mean("delay_ms_p99", BESIDE),
    "bystander_queue_us_p99": _mean("sojourn_ms_p99", BESIDE, scale=1e-3),
    "granted_kib_mean": _node("granted_bytes_mean"),
    "granted_kib_peak": _node("granted_bytes_peak"),
    "held_kib_mean": _node("held_bytes_mean"),
    "held_kib_peak": _node("held_bytes_peak"),
    "fairness": _fairness,
}


OF_EACH: Final[dict[str, tuple[str, float]]] = {
    "drop_percent": ("drop_percent", 1.0),
    "goodput_mb_per_s": ("goodput_bytes_per_s", 1e6),
    "delay_ms_mean": ("delay_ms_mean", 1.0),
    "sojourn_ms_p50": ("sojourn_ms_p50", 1.0),
    "sojourn_ms_p95": ("sojourn_ms_p95", 1.0),
    "sojourn_ms_p99": ("sojourn_ms_p99", 1.0),
    "held_kib_peak": ("held_bytes_peak", 1024.0),
    "fairness": ("fairness", 1.0),
    "rightful_drop_percent": ("rightful_drop_percent", 1.0),
}
"""What is told of every class by its name, with the unit; the last two where a class has them."""


def _each_class(name: str, rows: Sequence[Row]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in [one["name"] for one in rows[0]["classes"]]:
        for figure, (of, scale) in OF_EACH.items():
            if all(_class(row, each).get(of) is not None for row in rows):
                found |= _mean_with_interval(f"{name}.{each}.{figure}", [_class(row, each)[of] / scale for row in rows])
    return found


def _with_interval(name: str, rows: Sequence[Row], figure: Callable[[Sequence[Row]], float]) -> dict[str, float]:
    found = {name: figure(rows)}
    if len(rows) > 1:
        # A few rounds are drawn in the same few ways again and again.
        drawn, back = np.unique(np.sort(_picks(len(rows)), axis=1), axis=0, return_inverse=True)
        values = np.array([figure([rows[each] for each in pick]) for pick in drawn])[back.ravel()]
        low, high = np.percentile(values, [2.5, 97.5]).tolist()
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found


def _mean_with_interval(name: str, values: Sequence[float]) -> dict[str, float]:
    found = {name: float(np.mean(values))}
    if len(values) > 1:
        low, high = np.percentile(np.array(values)[_picks(len(values))].mean(axis=1), [2.5, 97.5]).tolist()
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found


def _picks(rounds: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, rounds, (RESAMPLES, rounds))


def against(rows: Sequence[Row]) -> dict[str, float]:
    """The product against its rivals, over the same seeds; a ratio is there only when both its sides were measured."""
    figures = {policy: of_policy(rows, policy) for policy in {row["policy"] for row in rows}}
    if PRODUCT not in figures:
        return {}
    return _drops_against(figures) | _delays_against(figures) | _costs_against(figures)


def _drops_against(figures: Mapping[str, Sequence[Row]]) -> dict[str, float]:
    drops = {policy: _drop_percent(mine) for policy, mine in figures.items()}
    found: dict[str, float] = {}
    for rival, name in (("reactive-100ms", "100ms"), ("reactive-1s", "1s")):
        if drops.get(rival):
            found[f"drop_reduction_vs_reactive_{name}"] = 1 - drops[PRODUCT] / drops[rival]
    if "reactive-10ms" in drops:
        found["drop_points_vs_reactive_10ms"] = drops[PRODUCT] - drops["reactive-10ms"]
    if "oracle" in drops:
        found["oracle_gap"] = drops[PRODUCT] - drops["oracle"]
    if drops.get("reactive-100ms") and "predictive-inverted" in drops:
        found["inverted_drop_ratio_vs_reactive_100ms"] = drops["predictive-inverted"] / drops["reactive-100ms"]
    return found


def _delays_against(figures: Mapping[str, Sequence[Row]]) -> dict[str, float]:
    """Negative where the product's packets wait longer, as those do that a rival drops."""
    found: dict[str, float] = {}
    for which in ("delay_ms_mean", "delay_ms_p99"):
        sides = [figures[PRODUCT], figures.get("reactive-100ms", ())]
        if all(side and all(which in _class(row) for row in side) for side in sides):
            mine, rival = (_mean(which)(side) for side in sides)
            if rival:
                found[f"{which}_reduction_vs_reactive_100ms"] = 1 - mine / rival
    return found


def _costs_against(figures: Mapping[str, Sequence[Row]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, figure, rival in (
        ("memory_ratio_vs_static_large", "held_kib_mean", "static-large"),
        ("granted_ratio_vs_static_large", "granted_kib_mean", "static-large"),
        ("bystander_p99_ratio_vs_static_small", "bystander_ms_p99", "static-small"),
        ("bystander_queue_p99_ratio_vs_static_small", "bystander_queue_us_p99", "static-small"),
    ):
        base = FIGURES[figure](figures[rival]) if rival in figures else 0.0
        if base:
            found[name] = FIGURES[figure](figures[PRODUCT]) / base
    return found


def _robust(pattern: str, rows: Sequence[Row]) -> dict[str, float]:
    """Over the sweep of drains and static-small limits: the worst and the best of the headline, so that no tuning can
    hide behind one choice of constants."""
    settings = {(row["drain_bytes_per_s"], row["floor_bytes"]) for row in rows}
    if pattern == MIXED_PATTERN or len(settings) < 2:
        return {}
    found: dict[str, list[float]] = {}
    for setting in settings:
        mine = [row for row in rows if (row["drain_bytes_per_s"], row["floor_bytes"]) == setting]
        for name, value in against(mine).items():
            found.setdefault(name, []).append(value)
    ends = (("sweep_min", min), ("sweep_max", max))
    return {f"{pattern}.{name}_{end}": pick(values) for name, values in found.items() for end, pick in ends}


def pools(rows: Sequence[Row]) -> dict[str, float]:
    """The smallest pool of the mixed scenario that serves the bursts, at no worse delay and goodput than a rival's."""
    found: dict[str, float] = {}
    rival = smallest_pool(rows, "reactive-10ms", None)
    if rival is None or len({row["pool_bytes"] for row in rows}) < 2:  # of one pool nobody knows a smaller that does
        return found
    found["mixed.pool_kib_reactive-10ms"] = rival / 1024
    bar = [row for row in of_policy(rows, "reactive-10ms") if row["pool_bytes"] == rival]
    for policy in sorted(POOL_RIVALS - {"reactive-10ms"}):
        mine = smallest_pool(rows, policy, bar)
        if mine is not None:
            found[f"mixed.pool_kib_{policy}"] = mine / 1024
    if "mixed.pool_kib_predictive" in found:
        found["mixed.pool_ratio_vs_reactive_10ms"] = found["mixed.pool_kib_predictive"] * 1024 / rival
    return found


def smallest_pool(rows: Sequence[Row], policy: str, bar: Sequence[Row] | None) -> int | None:
    """`bar` is whose delay of the bursts and goodput of bulk must be reached; None where no pool does it."""
    tried = of_policy(rows, policy)
    for pool in sorted({row["pool_bytes"] for row in tried}):
        mine = [row for row in tried if row["pool_bytes"] == pool]
        if _drop_percent(mine) > ENOUGH_PERCENT:
            continue
        if bar is None or (
            _mean("sojourn_ms_p99")(mine) <= NO_WORSE * _mean("sojourn_ms_p99")(bar)
            and _mean("goodput_bytes_per_s", "bulk")(mine) >= _mean("goodput_bytes_per_s", "bulk")(bar) / NO_WORSE
        ):
            return int(pool)
    return None
