"""What `tools/vm/run` does with its arguments."""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmlane import catalogue, guest, headers, lane, store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_TIMEOUT_S = 600  # an emulated guest on a busy machine; a hang is told apart long after any real run has ended


def main(arguments: list[str]) -> int:
    """0: everything passed on every kernel. 1: something did not. 2: the lane could not run, and says why."""
    try:
        return _main(_parser().parse_args(arguments))
    except catalogue.LaneError as error:
        _say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/vm/run", description="Run tests inside other kernels, under QEMU.")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="file, name or pytest node in tests/vm/inside; all")
    parser.add_argument("--kernel", default=catalogue.ALL, help="a kernel of tools/vm/kernels.toml, or all (default)")
    parser.add_argument("--list", action="store_true", help="list kernels and tests, run nothing")
    parser.add_argument("--quick", action="store_true", help="leave out the tests in long/, as `make test` does")
    parser.add_argument("--fetch", action="store_true", help="only bring the kernels into the cache")
    parser.add_argument(
        "--timeout", type=float, default=DEFAULT_TIMEOUT_S, metavar="S", help="seconds a guest may take"
    )
    parser.add_argument(
        "--headers", metavar="KERNEL", help="bring this kernel's headers, for what compiles inside; with --fetch, too"
    )
    parser.add_argument("--counted", action="store_true", help="let the guest's clock go by its instructions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what tests measured to this file")
    parser.add_argument("--catalogue", type=Path, default=lane.CATALOGUE, help=argparse.SUPPRESS)
    parser.add_argument("--inside", type=Path, default=lane.INSIDE, help=argparse.SUPPRESS)
    return parser


def _main(asked: argparse.Namespace) -> int:
    known = catalogue.kernels(asked.catalogue)
    if asked.list:
        return _listed(known, asked.inside)
    kernels = catalogue.chosen_kernels(known, asked.kernel)
    tests = catalogue.chosen_tests(
        asked.inside, asked.tests or (catalogue.quick_tests(asked.inside) if asked.quick else ())
    )
    options = lane.Options(
        timeout_s=asked.timeout, cache=store.cache_root(), inside=asked.inside, counted=asked.counted
    )
    if asked.headers:
        (source,) = catalogue.chosen_kernels(known, asked.headers)
        options = replace(options, headers=headers.ensure(source, options.cache, _say))
    if asked.fetch:
        for kernel in kernels:
            store.ensure(kernel, options.cache, _say)
        return 0
    runs = []
    for kernel in kernels:
        _say(f"=== kernel {kernel.name}")
        runs.append(lane.run(kernel, tests, options, _say, _write))
        if runs[-1].failure:
            _say(f"--- kernel {kernel.name}: {runs[-1].failure}; the end of its console:")
            _say(guest.console_tail(runs[-1].console))
    if asked.json:
        asked.json.write_text(json.dumps(_measured(runs), indent=1) + "\n")
    for line in (*_figures(runs), *map(_summary, runs)):
        _say(line)
    return 0 if all(run.good for run in runs) else 1


def _listed(known: Mapping[str, catalogue.Kernel], inside: Path) -> int:
    _say("kernels:")
    for row in known.values():
        _say(f"  {row.name:6} {row.suite:18} {', '.join(row.features)}")
    _say("tests:")
    for test in catalogue.known_tests(inside):
        _say(f"  {test}")
    return 0


def _summary(run: lane.Run) -> str:
    counts = {outcome: sum(r.outcome == outcome for r in run.results) for outcome in ("passed", "failed", "skipped")}
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "no test ran"
    trouble = f"; {run.failure}" if run.failure else ""
    return f"kernel {run.kernel}: {told}{trouble} ({run.seconds:.1f} s)"


def _measured(runs: Sequence[lane.Run]) -> dict[str, object]:
    """With the command and the day, since a page may quote it."""
    kernels = {run.kernel: dict(figure for result in run.results for figure in result.figures) for run in runs}
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"command": shlex.join(["tools/vm/run", *sys.argv[1:]]), "date": date, "kernels": kernels}


def _figures(runs: Sequence[lane.Run]) -> list[str]:
    """A table of what tests measured, a column a kernel; empty when they measured nothing."""
    columns = [dict(figure for result in run.results for figure in result.figures) for run in runs]
    names = sorted({name for column in columns for name in column})
    if not names:
        return []
    rows = [["", *(run.kernel for run in runs)], *([n, *(column.get(n, "-") for column in columns)] for n in names)]
    width = max(map(len, names))
    return [f"{name:{width}}" + "".join(f"{value:>10}" for value in values) for name, *values in rows]


def _write(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _say(line: str) -> None:
    _write(f"{line}\n".encode())
