"""`sentinel bench scaling`: what foresight is worth where the actuator is slow, a node that takes a minute to come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from sentinel_lab.bench.output import tell
from sentinel_lab.bench.scaling_days import PATTERNS, Day, made, recorded
from sentinel_lab.bench.scaling_plot import front
from sentinel_lab.bench.scaling_rules import HoltWinters, Linear, Oracle, Predictive, Reactive, Rule, Static, foreseen
from sentinel_lab.bench.scaling_world import Outcome, interval, lived

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LEADS_S: Final = (30, 60, 120)
HEADLINE_S: Final = 60
HEADROOM: Final = 20
PATIENT_S, QUICK_S = 300, 60
"""How long fewer nodes must have sufficed: the usual of the HPA rule for ours, and ours for the HPA rule."""
SWEEP: Final = (0, 10, 20, 40, 80)
SEEDS, QUICK_SEEDS = (4, 5, 6), (4,)  # the operating point was chosen on 1 to 3
JUDGED_S, QUICK_JUDGED_S = 21_600, 14_400
LONGEST_S: Final = 43_200


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A pattern with all its seeds, or one trace; forecasts are made once and used by every lead time."""

    name: str
    days: tuple[Day, ...]
    said: tuple[NDArray[np.float64], ...]


@click.command()
@click.option(
    "--traces", "folder", type=click.Path(path_type=Path), help="Folder of traces; without it only made days."
)
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Write the fronts to this PNG.")
@click.option("--quick", is_flag=True, help="Scheduled bursts of four hours, one seed, one lead time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def scaling(folder: Path | None, picture: Path | None, quick: bool, as_json: bool) -> None:
    """Compare the operator's scaling with reactive rules, simple forecasts, a static fleet and an oracle.

    \b
    Examples:
      sentinel bench scaling --quick --json
      sentinel bench scaling --traces traces/ --plot front.png
    """
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for case in _cases(folder, quick):
        if isinstance(case, str):
            rows.append({"left_out": case})
            continue
        click.echo(case.name, err=True)
        for lead_s in (HEADLINE_S,) if quick else LEADS_S:
            found = {name: _all(case, rule, lead_s) for name, rule in _rules(lead_s).items()}
            rows += [_row(case, lead_s, name, outcomes) for name, outcomes in found.items()]
            metrics |= _headline(case.name, lead_s, found)
    if picture is not None:
        picture.write_bytes(front([row for row in rows if row.get("lead_s") == HEADLINE_S]))
    tell("scaling", metrics, rows, as_json=as_json)


def _cases(folder: Path | None, quick: bool) -> Iterator[Case | str]:
    for name in ("schedule",) if quick else PATTERNS:
        days = tuple(
            made(name, seed, QUICK_JUDGED_S if quick else JUDGED_S) for seed in (QUICK_SEEDS if quick else SEEDS)
        )
        yield Case(name, days, tuple(foreseen(day) for day in days))
    if folder is not None:
        for day in recorded(folder, LONGEST_S):
            yield day if isinstance(day, str) else Case(day.name, (day,), (foreseen(day),))


def _rules(lead_s: int) -> dict[str, Any]:
    """Name → (day, forecasts) → the rule. A sweep of headroom draws the front of the two that matter most."""
    made_by: dict[str, Any] = {
        "hpa_plus_30": lambda day, _: Reactive(day, HEADROOM, "hpa_plus_30", extra=1.3),
        "predictive_patient": lambda day, said: Predictive(day, said, lead_s, HEADROOM, PATIENT_S),
        "linear": lambda day, _: Linear(day, HEADROOM, "linear", lead_s=lead_s),
        "holt_winters": lambda day, _: HoltWinters(day, HEADROOM, "holt_winters", lead_s=lead_s),
        "static": lambda day, _: Static(day),
        "oracle": lambda day, _: Oracle(day, lead_s),
    }
    for headroom in SWEEP if lead_s == HEADLINE_S else (HEADROOM,):
        suffix = "" if headroom == HEADROOM else f"@{headroom}"
        made_by[f"predictive{suffix}"] = lambda day, said, h=headroom: Predictive(day, said, lead_s, h)
        made_by[f"hpa{suffix}"] = lambda day, _, h=headroom: Reactive(day, h)
        made_by[f"hpa_quick{suffix}"] = lambda day, _, h=headroom: Reactive(day, h, down_s=QUICK_S)
    return made_by


def _all(case: Case, rule: Any, lead_s: int) -> list[Outcome]:
    found = []
    for day, said in zip(case.days, case.said, strict=True):
        chosen: Rule = rule(day, said)
        found.append(lived(day, chosen, lead_s))
    return found


def _row(case: Case, lead_s: int, name: str, outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "trace": case.name,
        "structured": case.days[0].structured,
        "lead_s": lead_s,
        "policy": name,
        "node_hours": round(sum(o.node_hours for o in outcomes), 2),
        "overload_s": round(sum(o.overload for o in outcomes), 1),
        "dropped_percent": round(float(np.mean([o.dropped_percent for o in outcomes])), 4),
        "actions": sum(o.actions for o in outcomes),
    }


def _headline(name: str, lead_s: int, found: dict[str, list[Outcome]]) -> dict[str, float]:
    """Against the HPA rule with the same headroom, and against what that rule needs for the same overload."""
    ours, theirs = found["predictive"], found["hpa"]
    mark = "" if lead_s == HEADLINE_S else f"_{lead_s}"
    (low, high), (cheap, dear) = interval(ours, theirs)
    told = {f"{name}.node_hours_ratio{mark}": _hours(ours) / _hours(theirs)}
    told |= {f"{name}.node_hours_ratio{mark}_low": cheap, f"{name}.node_hours_ratio{mark}_high": dear}
    if _overload(theirs):
        told[f"{name}.overload_reduction{mark}"] = 1.0 - _overload(ours) / _overload(theirs)
        told |= {f"{name}.overload_reduction{mark}_low": low, f"{name}.overload_reduction{mark}_high": high}
    equal = _at_equal_overload(found) if lead_s == HEADLINE_S else None  # only there the headroom was swept
    if equal is not None:
        told[f"{name}.node_hours_ratio_at_equal_overload{mark}"] = equal
    return {key: round(value, 4) for key, value in told.items() if np.isfinite(value)}


def _at_equal_overload(found: dict[str, list[Outcome]]) -> float | None:
    """Our node-hours ÷ those of the HPA rule, patient or quick, off its front; None where no headroom gets so far."""
    rules = ("hpa", "hpa_quick")
    points = [(_hours(o), _overload(o)) for name, o in found.items() if name.partition("@")[0] in rules]
    envelope = _envelope(points)
    wanted = _overload(found["predictive"])
    if not envelope[-1][1] <= wanted <= envelope[0][1]:
        return None
    hours, overloads = (np.array(column)[::-1] for column in zip(*envelope, strict=True))
    return _hours(found["predictive"]) / float(np.interp(wanted, overloads, hours))


def _envelope(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Only what is worth its node-hours: each further point has less overload than all cheaper ones."""
    kept: list[tuple[float, float]] = []
    for point in sorted(points):
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept


def _hours(outcomes: list[Outcome]) -> float:
    return sum(outcome.node_hours for outcome in outcomes)


def _overload(outcomes: list[Outcome]) -> float:
    return sum(outcome.overload for outcome in outcomes)
