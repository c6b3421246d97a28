"""The rules under comparison, by name; only those in NEEDS_TRUTH are ever handed the schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel_agent.predict.schedule import Schedule
from sentinel_api.errors import Invalid
from sentinel_lab.policies.foresight import Burst, Foretold, Slant, Truth
from sentinel_lab.policies.port import Policy, Seen
from sentinel_lab.policies.product import Predictive
from sentinel_lab.policies.simple import DynamicThreshold, Reactive, static_large, static_small
from sentinel_lab.policies.threshold import Threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_lab.scenario import Scenario

__all__ = [
    "CONTROLS",
    "LEARNERS",
    "NAMES",
    "NEEDS_TRUTH",
    "POLICIES",
    "PRODUCT",
    "SLANTS",
    "Burst",
    "Policy",
    "Predictive",
    "Seen",
    "Threshold",
    "Truth",
    "known",
    "made",
]

PRODUCT = "predictive"
SLANTS = {each.value: each for each in Slant}
NEEDS_TRUTH = frozenset(SLANTS)

POLICIES: dict[str, Callable[[Scenario], Policy]] = {
    "static-small": static_small,
    "static-large": static_large,
    "dynamic-threshold": lambda s: DynamicThreshold("dynamic-threshold", s),
    "reactive-10ms": lambda s: Reactive("reactive-10ms", 0.01, s),
    "reactive-100ms": lambda s: Reactive("reactive-100ms", 0.1, s),
    "reactive-1s": lambda s: Reactive("reactive-1s", 1.0, s),
    "threshold": Threshold,
    PRODUCT: lambda s: Predictive(PRODUCT, s, Schedule()),
}
NAMES = (*POLICIES, *SLANTS)
LEARNERS = frozenset({PRODUCT, "threshold", *NEEDS_TRUTH})
"""Only these can make anything of a past."""
CONTROLS = frozenset({"reactive-1s", "threshold", "predictive-late", "predictive-early", "predictive-silent"})
"""There to show that they are no danger, or no rival: in a whole comparison one run of each will do."""


def known(name: str) -> None:
    if name not in NAMES:
        raise Invalid(f"there is no policy {name!r}; choose one of {', '.join(sorted(NAMES))}")


def made(name: str, scenario: Scenario, truth: Truth | None = None) -> Policy:
    """The truth goes to nobody who must not know it, whoever passes it in."""
    known(name)
    if name in POLICIES:
        return POLICIES[name](scenario)
    if truth is None:
        raise Invalid(f"{name} foretells from the schedule itself: it cannot be made without one")
    return Predictive(name, scenario, Foretold(truth, SLANTS[name]))
