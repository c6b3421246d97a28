"""The lane as a whole: for each kernel one boot, all tests in it, one result a test."""

from __future__ import annotations

import secrets
import shlex
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from vmlane import guest, initramfs, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vmlane.catalogue import Kernel

TOOLS = Path(__file__).resolve().parent.parent
TREE = TOOLS.parent.parent
CATALOGUE = TOOLS / "kernels.toml"
INSIDE = TREE / "tests" / "vm" / "inside"
CONSOLES = TREE / "build" / "vm"
SCRATCH = Path("/run/sentinel-vm")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test in one guest."""

    test: str
    outcome: str  # passed, failed, skipped
    reason: str
    figures: tuple[tuple[str, str], ...] = ()  # what the test measured, by record_property


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one kernel."""

    kernel: str
    results: tuple[Result, ...]
    failure: str
    console: str
    seconds: float

    @property
    def good(self) -> bool:
        """Every test came back, and none of them failed."""
        return not self.failure and all(result.outcome != "failed" for result in self.results)


@dataclass(frozen=True, slots=True)
class Options:
    """How a guest is run, apart from which kernel and which tests."""

    timeout_s: float
    cache: Path
    inside: Path = INSIDE
    counted: bool = False
    headers: Path | None = None
    """Of the kernel, for what compiles inside."""
    python: Path = TREE / ".venv" / "bin" / "python"


def run(
    kernel: Kernel, tests: Iterable[str], options: Options, say: Callable[[str], None], listen: Callable[[bytes], None]
) -> Run:
    """Boot the kernel once and run the tests in it."""
    guest.preflight()
    stored = store.ensure(kernel, options.cache, say)
    marker = f"\x1e{secrets.token_hex(8)}\n".encode()
    archive = initramfs.build(stored, TOOLS / "init", job(stored, tests, options), marker)
    SCRATCH.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{kernel.name}-", dir=SCRATCH))
    started = time.monotonic()
    try:
        ending = guest.boot(
            guest.Job(stored.image, archive, marker, options.timeout_s, options.counted), scratch, listen
        )
    finally:
        shutil.rmtree(scratch)
    CONSOLES.mkdir(parents=True, exist_ok=True)
    (CONSOLES / f"{kernel.name}.console").write_text(ending.console)
    return Run(kernel.name, _results(ending.report), _failure(ending), ending.console, time.monotonic() - started)


def job(stored: store.Stored, tests: Iterable[str], options: Options) -> str:
    """The script that the guest runs, with every value quoted for the shell."""
    python = options.python if options.python.exists() else Path(sys.executable)
    values = {
        "kernel": stored.kernel.name,
        "features": ",".join(stored.kernel.features),
        "tree": TREE,
        "python": python,
        "inside": options.inside,
        "headers": options.headers or "",
    }
    quoted = {name: shlex.quote(str(value)) for name, value in values.items()}
    return (TOOLS / "job.sh").read_text().format(**quoted, tests=shlex.join(tests))


def _failure(ending: guest.Ending) -> str:
    """pytest's 0 and 1 are told by its tests; anything else is told here."""
    if ending.failure:
        return ending.failure
    if ending.exit_code > 1 or not ending.report.strip():
        return f"the tests did not run (exit {ending.exit_code})"
    return ""


def _results(report: str) -> tuple[Result, ...]:
    if not report.strip():
        return ()
    # Our own guest wrote it: whoever can plant entities there could as well claim success.
    suite = ElementTree.fromstring(report)  # noqa: S314
    return tuple(_result(case) for case in suite.iter("testcase"))


def _result(case: ElementTree.Element) -> Result:
    test = f"{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name', '')}"
    figures = tuple((each.get("name", ""), each.get("value", "")) for each in case.iter("property"))
    for tag, outcome in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None:
            return Result(test, outcome, found.get("message", ""), figures)
    return Result(test, "passed", "", figures)
