"""The test ladder as a pytest plugin: the order of the rungs, the slice of slow tests, and which tests may not skip.

    unit → conformance → bpf → netns → cluster → vm → ground → e2e

The folder below `tests/` is the rung. Cheap rungs run first, so that a broken unit is not found by a cluster.
"""

import fnmatch
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

TESTS = Path(__file__).parents[1]
OUT = Path(os.environ.get("SENTINEL_LADDER_OUT", TESTS.parent / "out"))  # tests of this plugin keep theirs apart

RUNGS = ("unit", "conformance", "bpf", "netns", "cluster", "vm", "ground", "e2e")
# Where lanes run side by side the longest files begin early, or one lane would end with them alone.
LANE_ORDER = ("unit", "conformance", "bpf", "e2e", "vm", "cluster", "netns", "ground")
SLOW_MARKS = ("slow", "vm", "e2e", "fuzz", "soak", "apart")
SLICE_S = 120.0
# Rungs whose tests count what a kernel does by its own clock, and how many of a whole run may need a second look.
TIMED_RUNGS = ("netns", "cluster", "vm", "e2e")
SECOND_LOOKS = 3
# A test that hangs must not take the whole run with it: far above what the slowest of each rung needs.
TIMEOUT_S = {
    "unit": 180,
    "conformance": 180,
    "bpf": 300,
    "netns": 300,
    "cluster": 600,
    "vm": 900,
    "ground": 600,
    "e2e": 900,
}

Slow = Literal["none", "slice", "all"]


@dataclass(slots=True)
class Rung:
    """What the table at the end says of one rung."""

    tests: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class MustRun:
    """Which tests may not skip: the last pattern that matches a node id decides, and a leading `!` says that it may."""

    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "MustRun":
        lines = (line.split(" # ")[0].strip() for line in text.splitlines())
        return cls(tuple(line for line in lines if line and not line.startswith("#")))

    def holds(self, node: str) -> bool:
        held = False
        for pattern in self.patterns:
            if fnmatch.fnmatchcase(node, pattern.removeprefix("!")):
                held = not pattern.startswith("!")
        return held

    def stale(self, nodes: Iterable[str]) -> list[str]:
        """Patterns that name nothing: a renamed test must not lose its guard in silence."""
        known = list(nodes)
        return [p for p in self.patterns if not any(fnmatch.fnmatchcase(node, p.removeprefix("!")) for node in known)]


@dataclass(slots=True)
class Ladder:
    """One run's book-keeping, kept on the pytest config."""

    slow: Slow
    must_run: MustRun
    in_ci: bool
    slow_spent_s: dict[str, float] = field(default_factory=dict)  # an entry for each rung that has slow tests
    collected: list[str] = field(default_factory=list)
    rungs: dict[str, Rung] = field(default_factory=dict)
    looked_at_twice: list[str] = field(default_factory=list)

    def may_skip(self, node: str) -> bool:
        return not (self.in_ci and self.must_run.holds(node))

    def used_up(self, rung: str) -> bool:
        """Each rung gets an equal share of what those before it left, and its first slow test in any case: a long test
        of an early rung must not starve the last."""
        if not self.slow_spent_s.get(rung):
            return False
        others = [name for name in self.slow_spent_s if name != rung]
        before = sum(self.slow_spent_s[name] for name in others if RUNGS.index(name) < RUNGS.index(rung))
        after = sum(RUNGS.index(name) > RUNGS.index(rung) for name in others)
        return self.slow_spent_s.get(rung, 0.0) >= (SLICE_S - before) / (1 + after)

    def patience(self, item: pytest.Item) -> tuple[bool, bool, bool]:
        """Within a rung the slow come last, of these first the ones that may not be left out, and after all a soak: one
        of them can take a whole slice."""
        held = self.must_run.holds(item.nodeid)
        return slow(item), slow(item) and not held, not held and item.get_closest_marker("soak") is not None

    def count(self, report: pytest.TestReport) -> None:
        rung = self.rungs.setdefault(rung_of(report.nodeid), Rung())
        rung.seconds += report.duration
        if report.outcome == "rerun":
            self.looked_at_twice.append(report.nodeid)
            rung.tests -= report.when != "setup"  # its second setup counts it
            return
        if report.when == "setup":
            rung.tests += 1
        if report.failed:
            rung.failed += 1
        elif report.skipped:
            rung.skipped += 1
        elif report.when == "call":
            rung.passed += 1


LADDER = pytest.StashKey[Ladder]()


def rung_of(node: str) -> str:
    """`tests/<rung>/…` or, for a run from another root, the first folder that is a rung; anything else is a unit."""
    return next((part for part in node.split("::", maxsplit=1)[0].split("/") if part in RUNGS), "unit")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ladder", "the test ladder")
    group.addoption(
        "--slow",
        choices=("none", "slice", "all"),
        default="all",
        help=f"slow tests ({', '.join(SLOW_MARKS)}): none, as many as start within {SLICE_S:.0f} s, or all",
    )
    group.addoption(
        "--must-run", type=Path, default=TESTS / "must-run.txt", help="tests that may not skip when CI is set"
    )


def pytest_configure(config: pytest.Config) -> None:
    for rung in RUNGS:
        config.addinivalue_line("markers", f"{rung}: set by the folder tests/{rung}/")
    for mark in SLOW_MARKS:
        if mark not in RUNGS:
            config.addinivalue_line(
                "markers", f"{mark}: counts as slow, so `make check` leaves it out and `make test` may"
            )
    must_run = MustRun.parse(config.getoption("--must-run").read_text())
    config.stash[LADDER] = Ladder(config.getoption("--slow"), must_run, in_ci=bool(os.environ.get("CI")))


def slow(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(mark) for mark in SLOW_MARKS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ladder = config.stash[LADDER]
    ladder.collected = [item.nodeid for item in items]
    in_a_lane = hasattr(config, "workerinput")
    for item in items:
        rung = rung_of(item.nodeid)
        item.add_marker(rung)
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S[rung]))
        if in_a_lane and rung in TIMED_RUNGS and not item.get_closest_marker("apart"):
            item.add_marker(pytest.mark.flaky(reruns=1))
    order = LANE_ORDER if in_a_lane else RUNGS
    items.sort(key=lambda item: (order.index(rung_of(item.nodeid)), *ladder.patience(item)))
    ladder.slow_spent_s = {rung_of(item.nodeid): 0.0 for item in items if slow(item)}
    if ladder.slow == "none":
        left_out = [item for item in items if slow(item)]
        items[:] = [item for item in items if not slow(item)]
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    ladder = item.config.stash[LADDER]
    if ladder.slow != "slice" or not slow(item) or ladder.must_run.holds(item.nodeid):
        return
    if item.get_closest_marker("apart"):
        pytest.skip("no slice has the minutes for it; `make test-all` runs it, and so does a target of its own")
    if ladder.used_up(rung_of(item.nodeid)):
        pytest.skip(f"the slice of {SLICE_S:.0f} s for slow tests is used up; `make test-all` runs it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """What a slow test costs includes its fixtures, which are most of it."""
    started = time.monotonic()
    try:
        return (yield)
    finally:
        if slow(item):
            spent = item.config.stash[LADDER].slow_spent_s
            rung = rung_of(item.nodeid)
            spent[rung] = spent.get(rung, 0.0) + time.monotonic() - started


def _forbid(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} may not skip in CI (tests/must-run.txt), but did: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report: pytest.TestReport = yield
    if report.skipped and not hasattr(report, "wasxfail") and not item.config.stash[LADDER].may_skip(item.nodeid):
        _forbid(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[Any]:
    """A whole module can skip too, and then none of its tests exists to be found missing."""
    report: pytest.CollectReport = yield
    if report.skipped and not collector.config.stash[LADDER].may_skip(f"{report.nodeid}::"):
        _forbid(report)
    return report


class _Table:
    """Prints and keeps the durations; only the process that owns the terminal has one."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ladder.count(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Some noise is the machine's; more of it is a fault of ours that comes and goes."""
        if len(self.ladder.looked_at_twice) > SECOND_LOOKS and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        known = {name: self.ladder.rungs[name] for name in RUNGS if name in self.ladder.rungs}
        if not known:
            return
        terminalreporter.section("rungs")
        terminalreporter.write_line(
            f"{'rung':<12} {'tests':>6} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}"
        )
        for name, r in known.items():
            terminalreporter.write_line(
                f"{name:<12} {r.tests:>6} {r.passed:>7} {r.failed:>7} {r.skipped:>8} {r.seconds:>8.1f}"
            )
        for node in self.ladder.looked_at_twice:
            terminalreporter.write_line(f"failed once beside others, and was looked at again: {node}")
        OUT.mkdir(exist_ok=True)
        rows = {
            name: {"tests": r.tests, "passed": r.passed, "failed": r.failed, "skipped": r.skipped, "seconds": r.seconds}
            for name, r in known.items()
        }
        kept = {"slow": self.ladder.slow, "twice": self.ladder.looked_at_twice, "rungs": rows}
        (OUT / "ladder.json").write_text(json.dumps(kept, indent=1) + "\n")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(_Table(session.config.stash[LADDER]), "ladder-table")
