"""The ladder plugin, on small ladders of its own: order, slice, and tests that may not skip."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import ladder

TESTS = Path(__file__).parents[1]


def climb(folder: Path, files: dict[str, str], *options: str, must_run: str = "", ci: bool = False) -> tuple[int, str]:
    """Runs pytest with the ladder alone on the files given; its exit code and what it printed."""
    for name, text in files.items():
        path = folder / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import pytest, time\n" + text)
    (folder / "must-run.txt").write_text(must_run)
    (folder / "pytest.ini").write_text("[pytest]\nstrict_markers = true\n")
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    environment |= {"PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment |= {"SENTINEL_LADDER_OUT": str(folder / "out")} | ({"CI": "true"} if ci else {})
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "pytest_timeout",
        "-p",
        "pytest_rerunfailures",
        "-p",
        "support.ladder",
        "--import-mode=importlib",
        "-rs",
        "-v",
    ]
    ended = subprocess.run(
        [*command, f"--must-run={folder / 'must-run.txt'}", *options, "tests"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


PASSES = "def test_it(): pass\n"
SLOW = "@pytest.mark.slow\ndef test_slow(): pass\n"
SKIPS = "def test_it(): pytest.skip('no such kernel')\n"


def test_rungs_run_from_the_cheap_to_the_dear_and_slow_tests_last_in_each(tmp_path: Path):
    files = {f"{rung}/test_{rung}.py": SLOW + PASSES for rung in reversed(ladder.RUNGS)}
    code, said = climb(tmp_path, files, "--slow=all")
    ran = [line.split(" ")[0] for line in said.splitlines() if " PASSED" in line]
    assert code == 0
    assert ran == [f"tests/{rung}/test_{rung}.py::{name}" for rung in ladder.RUNGS for name in order(rung)]


def order(rung: str) -> tuple[str, ...]:
    """In a rung that is slow as a whole, no test is slower than another."""
    return ("test_slow", "test_it") if rung in ladder.SLOW_MARKS else ("test_it", "test_slow")


WRITES_ITS_LANE = (
    "import os, pathlib\n"
    "@pytest.mark.parametrize('n', range(8))\n"
    "def test_it(n):\n"
    "    with pathlib.Path(__file__).with_suffix('.lanes').open('a') as lanes:\n"
    "        print(os.environ['PYTEST_XDIST_WORKER'], file=lanes)\n"
)
LANES = ("-p", "xdist.plugin", "-p", "support.lanes", "-n", "2")


FAILS_ONCE = (
    "import pathlib\n"
    "@pytest.mark.parametrize('n', range({}))\n"
    "def test_it(n):\n"
    "    seen = pathlib.Path(__file__).with_suffix(f'.{{n}}')\n"
    "    before = seen.exists()\n"
    "    seen.touch()\n"
    "    assert before\n"
)


def test_a_timed_test_that_fails_beside_others_gets_one_second_look_and_the_run_says_so(tmp_path: Path):
    files = {"netns/test_it.py": FAILS_ONCE.format(1), "unit/test_fine.py": PASSES}
    code, said = climb(tmp_path, files, *LANES)
    assert code == 0, said
    assert "looked at again: tests/netns/test_it.py::test_it[0]" in said
    kept = json.loads((tmp_path / "out" / "ladder.json").read_text())
    assert kept["twice"] == ["tests/netns/test_it.py::test_it[0]"]
    assert (kept["rungs"]["netns"]["tests"], kept["rungs"]["netns"]["passed"]) == (1, 1)


@pytest.mark.parametrize(
    ("files", "options"),
    [
        pytest.param({"netns/test_it.py": FAILS_ONCE.format(1)}, (), id="it ran alone"),
        pytest.param({"unit/test_it.py": FAILS_ONCE.format(1)}, LANES, id="no clock is in it"),
        pytest.param({"netns/test_it.py": "def test_it(): assert False\n"}, LANES, id="it fails again"),
        pytest.param({"netns/test_it.py": FAILS_ONCE.format(ladder.SECOND_LOOKS + 1)}, LANES, id="too many did"),
    ],
)
def test_a_second_look_hides_no_fault(tmp_path: Path, files: dict[str, str], options: tuple[str, ...]):
    code, said = climb(tmp_path, files, *options)
    assert code == 1, said


def test_a_file_is_climbed_in_one_lane_and_the_table_counts_both(tmp_path: Path):
    files = {f"{rung}/test_{rung}.py": WRITES_ITS_LANE for rung in ("unit", "netns", "e2e")}
    code, said = climb(tmp_path, files, *LANES)
    taken = [set(found.read_text().split()) for found in (tmp_path / "tests").glob("*/*.lanes")]
    assert code == 0
    assert [len(lanes) for lanes in taken] == [1, 1, 1]
    assert set.union(*taken) == {"gw0", "gw1"}
    kept = json.loads((tmp_path / "out" / "ladder.json").read_text())["rungs"]
    assert {name: row["passed"] for name, row in kept.items()} == {"unit": 8, "netns": 8, "e2e": 8}
    assert "24 passed" in said.splitlines()[-1]


def test_a_test_that_must_run_fails_in_a_lane_too(tmp_path: Path):
    code, said = climb(tmp_path, {"bpf/test_a.py": SKIPS}, *LANES, must_run="tests/bpf/*", ci=True)
    assert code == 1
    assert "may not skip in CI" in said


def test_none_leaves_every_slow_test_out(tmp_path: Path):
    code, said = climb(tmp_path, {"unit/test_a.py": SLOW + PASSES, "e2e/test_b.py": PASSES}, "--slow=none")
    assert code == 0
    assert "1 passed, 2 deselected" in said


def test_the_slice_stops_starting_slow_tests_when_its_time_is_used_up(tmp_path: Path):
    takes_all = "from support import ladder\nladder.SLICE_S = 0.01\n"
    slow = "@pytest.mark.slow\n@pytest.mark.parametrize('n', range(3))\ndef test_slow(n): time.sleep(0.02)\n"
    code, said = climb(tmp_path, {"unit/test_a.py": takes_all + slow + PASSES}, "--slow=slice")
    assert code == 0
    assert "2 passed, 2 skipped" in said
    assert "`make test-all` runs it" in said


def test_what_stands_apart_is_left_to_a_run_of_everything(tmp_path: Path):
    apart = {"e2e/test_a.py": "@pytest.mark.apart\n" + PASSES}
    _, said = climb(tmp_path, apart, "--slow=slice")
    assert "no slice has the minutes" in said
    _, said = climb(tmp_path, apart, "--slow=all")
    assert "1 passed" in said


def test_a_rung_that_is_slow_leaves_the_later_ones_their_share():
    spent = {"bpf": 30.0, "vm": 44.0, "e2e": 0.0}
    run = ladder.Ladder("slice", ladder.MustRun(), in_ci=False, slow_spent_s=spent)
    assert not run.used_up("bpf")  # of 120 / 3
    assert not run.used_up("vm")  # of (120 - 30) / 2
    run.slow_spent_s["vm"] = 45.0
    assert run.used_up("vm")
    assert not run.used_up("e2e")
    run.slow_spent_s["e2e"] = 45.0
    assert run.used_up("e2e")


def test_every_rung_runs_its_first_slow_test_whatever_the_others_took():
    spent = {"bpf": 10 * ladder.SLICE_S, "e2e": 0.0}
    run = ladder.Ladder("slice", ladder.MustRun(), in_ci=False, slow_spent_s=spent)
    assert not run.used_up("e2e")
    run.slow_spent_s["e2e"] = 1.0
    assert run.used_up("e2e")


def test_the_slice_never_leaves_out_what_must_run_in_ci(tmp_path: Path):
    takes_all = "from support import ladder\nladder.SLICE_S = 0.0\n"
    files = {"unit/test_a.py": takes_all + SLOW, "unit/test_b.py": SLOW}
    _, said = climb(tmp_path, files, "--slow=slice", must_run="tests/unit/test_b.py::*", ci=True)
    assert "tests/unit/test_b.py::test_slow PASSED" in said
    assert "tests/unit/test_a.py::test_slow SKIPPED" in said


def test_a_test_that_must_run_fails_when_it_skips_in_ci(tmp_path: Path):
    code, said = climb(tmp_path, {"bpf/test_a.py": SKIPS}, must_run="tests/bpf/*", ci=True)
    assert code == 1
    assert "may not skip in CI" in said
    assert "no such kernel" in said


def test_a_module_that_must_run_fails_when_it_skips_whole_in_ci(tmp_path: Path):
    module = "pytest.skip('no such library', allow_module_level=True)\n"
    code, said = climb(tmp_path, {"bpf/test_a.py": module}, must_run="tests/bpf/*", ci=True)
    assert code != 0
    assert "no such library" in said


def test_outside_ci_and_where_the_list_allows_it_a_skip_stays_a_skip(tmp_path: Path):
    assert climb(tmp_path, {"bpf/test_a.py": SKIPS}, must_run="tests/bpf/*")[0] == 0
    allowed = "tests/bpf/*\n!tests/bpf/test_a.py::* # needs a kernel that CI has not\n"
    code, said = climb(tmp_path, {"bpf/test_a.py": SKIPS}, must_run=allowed, ci=True)
    assert code == 0
    assert "no such kernel" in said


def test_an_expected_failure_is_no_skip(tmp_path: Path):
    failing = "@pytest.mark.xfail(strict=True)\ndef test_it(): assert False\n"
    assert climb(tmp_path, {"unit/test_a.py": failing}, must_run="tests/*", ci=True)[0] == 0


def test_the_table_of_rungs_is_printed_before_the_closing_line_and_kept(tmp_path: Path):
    files = {"unit/test_a.py": PASSES, "bpf/test_b.py": PASSES + SKIPS.replace("test_it", "test_other")}
    _, said = climb(tmp_path, files)
    assert said.index("= rungs =") < said.index("2 passed, 1 skipped")
    assert said.rstrip().splitlines()[-1].startswith("===")
    kept = json.loads((tmp_path / "out" / "ladder.json").read_text())["rungs"]
    assert {name: (row["tests"], row["passed"], row["skipped"]) for name, row in kept.items()} == {
        "unit": (1, 1, 0),
        "bpf": (2, 1, 1),
    }


def test_every_line_of_the_list_names_a_test_that_exists(request: pytest.FixtureRequest):
    if request.config.args != request.config.getini("testpaths"):
        pytest.skip("only a run of the whole ladder knows every test")
    known = request.config.stash[ladder.LADDER].collected
    assert ladder.MustRun.parse((TESTS / "must-run.txt").read_text()).stale(known) == []


def test_a_stale_pattern_is_found():
    assert ladder.MustRun.parse("tests/unit/*\n!tests/gone/* # why\n").stale(["tests/unit/a.py::b"]) == [
        "!tests/gone/*"
    ]
