"""From the runs of `bench front` to its metrics: means over seeds with intervals, and who dominates whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_lab.results import jain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PRODUCT: Final = "predictive"
BASELINES: Final = (
    "static-small", "static-large", "dynamic-threshold", "reactive-10ms", "reactive-100ms", "reactive-1s",
)  # fmt: skip
RESAMPLES: Final = 1_000
INTERVAL: Final = (0.05, 0.95)

DROPS_TOLERANCE: Final = 0.05
"""Percentage points; below them two policies drop alike."""
SHARE_TOLERANCE: Final = 0.02
"""Of a delay or an amount of memory."""

AXES: Final = ("drop_percent", "sojourn_ms_p99", "held_bytes_mean")


def metrics(rows: Sequence[Mapping[str, Any]], pools: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    plain = [each for each in rows if not each.get("swept")]
    for pattern in dict.fromkeys(each["pattern"] for each in plain):
        points = {}
        for policy in dict.fromkeys(each["policy"] for each in plain):
            mine = [each for each in plain if (each["pattern"], each["policy"]) == (pattern, policy)]
            if mine:
                points[policy] = averaged(mine)
                found |= {f"{pattern}.{policy}.{name}": value for name, value in points[policy].items()}
                found |= {f"{pattern}.{policy}.{name}": value for name, value in intervals(mine).items()}
        found |= {f"{pattern}.{name}": value for name, value in _dominance(points).items()}
    return found | _pools(pools)


def averaged(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of the bursty class, the bystander and all together."""
    sent = sum(_about(each)["sent_bytes"] for each in rows)
    dropped = sum(_about(each)["dropped_bytes"] for each in rows)
    told = {
        "drop_percent": 100 * dropped / sent if sent else 0.0,
        "bystander_sojourn_ms_p99": _mean(rows, rows[0].get("beside", "bystander"), "sojourn_ms_p99"),
        "held_bytes_mean": float(np.mean([each["held_bytes_mean"] for each in rows])),
        "held_bytes_peak": float(max(each["held_bytes_peak"] for each in rows)),
        "granted_bytes_mean": float(np.mean([each["granted_bytes_mean"] for each in rows])),
    }
    told["fairness"] = float(np.mean([_fairness(each) for each in rows]))
    for name in ("sojourn_ms_p50", "sojourn_ms_p95", "sojourn_ms_p99", "goodput_bytes_per_s"):
        told[name] = _mean(rows, rows[0].get("about", "bursty"), name)
    if "bulk" in rows[0]["classes"]:
        told["bulk_goodput_bytes_per_s"] = _mean(rows, "bulk", "goodput_bytes_per_s")
        told["bulk_sojourn_ms_p99"] = _mean(rows, "bulk", "sojourn_ms_p99")
    return told


def intervals(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Nine tenths of the bootstrap over seeds; one seed has none."""
    if len(rows) < 2:
        return {}
    random = np.random.default_rng(13)
    drawn = random.integers(0, len(rows), (RESAMPLES, len(rows)))
    sent = np.array([_about(each)["sent_bytes"] for each in rows], np.float64)
    dropped = np.array([_about(each)["dropped_bytes"] for each in rows], np.float64)
    series = {
        "drop_percent": 100 * dropped[drawn].sum(axis=1) / sent[drawn].sum(axis=1),
        "sojourn_ms_p99": _values(rows, rows[0].get("about", "bursty"), "sojourn_ms_p99")[drawn].mean(axis=1),
        "held_bytes_mean": np.array([each["held_bytes_mean"] for each in rows])[drawn].mean(axis=1),
    }
    found: dict[str, float] = {}
    for name, values in series.items():
        low, high = np.quantile(values, INTERVAL).tolist()
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found


def dominates(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """No worse on any axis and better on one, beyond the tolerances."""
    differences = [one[name] - other[name] for name in AXES]
    slack = [DROPS_TOLERANCE, SHARE_TOLERANCE * other[AXES[1]], SHARE_TOLERANCE * other[AXES[2]]]
    no_worse = all(difference <= allowed for difference, allowed in zip(differences, slack, strict=True))
    return no_worse and any(difference < -allowed for difference, allowed in zip(differences, slack, strict=True))


def _dominance(points: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    mine = points.get(PRODUCT)
    rivals = {each: points[each] for each in BASELINES if each in points}
    if mine is None or not rivals:
        return {}
    found = {"dominated": float(any(dominates(rival, mine) for rival in rivals.values()))}
    return found | {f"dominates_{each}": float(dominates(mine, rival)) for each, rival in rivals.items()}


def _pools(pools: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    sizes = {each["policy"]: each["smallest_pool_bytes"] for each in pools if each["smallest_pool_bytes"]}
    found = {f"mixed.{policy}.smallest_pool_bytes": float(size) for policy, size in sizes.items()}
    reference = sizes.get("reactive-10ms")
    if reference and PRODUCT in sizes:
        found["mixed.pool_ratio_vs_reactive_10ms"] = sizes[PRODUCT] / reference
    if reference and "oracle" in sizes:
        found["mixed.oracle_pool_ratio_vs_reactive_10ms"] = sizes["oracle"] / reference
    return found


def _fairness(row: Mapping[str, Any]) -> float:
    """As in the testbed: over the shares of what they sent that the classes got through."""
    return jain([1 - each["dropped_bytes"] / max(1, each["sent_bytes"]) for each in row["classes"].values()])


def _about(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The class that the pattern's scenario is about."""
    found: Mapping[str, Any] = row["classes"][row.get("about", "bursty")]
    return found


def _values(rows: Sequence[Mapping[str, Any]], name: str, figure: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([each["classes"][name][figure] for each in rows], np.float64)


def _mean(rows: Sequence[Mapping[str, Any]], name: str, figure: str) -> float:
    return float(_values(rows, name, figure).mean())
