"""The build of the BPF objects: does nothing twice, forgets deleted stages, and names the tool that is missing."""

import shutil
import subprocess
from pathlib import Path

import pytest

BPF = Path(__file__).parents[2] / "bpf"
STAGE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int NAME(struct xdp_md *context) { return XDP_PASS; }
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Makefile with one small stage beside the shared types."""
    folder = tmp_path_factory.mktemp("sources")
    shutil.copy(BPF / "Makefile", folder)
    shutil.copytree(BPF / "include", folder / "include")
    (folder / "src").mkdir()
    shutil.copy(BPF / "src" / "abi.bpf.c", folder / "src")
    add_stage(folder, "first")
    return folder


@pytest.fixture
def tree(sources: Path, tmp_path: Path) -> Path:
    """One of the test's own, of which nothing is built."""
    return Path(shutil.copytree(sources, tmp_path / "tree"))


@pytest.fixture(scope="module")
def made_once(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Path(shutil.copytree(sources, tmp_path_factory.mktemp("made") / "tree"))
    assert make(made).returncode == 0
    return made


@pytest.fixture
def made(made_once: Path, tmp_path: Path) -> Path:
    """One of the test's own that is built, with the times of its files."""
    return Path(shutil.copytree(made_once, tmp_path / "tree"))


def add_stage(tree: Path, name: str) -> None:
    (tree / "src" / f"{name}.bpf.c").write_text(STAGE.replace("NAME", name))


def make(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-C", str(tree), *arguments], capture_output=True, text=True, check=False)


def programs(tree: Path, built: str) -> set[str]:
    listed = subprocess.run(
        ["readelf", "-sW", str(tree / "build" / f"{built}.bpf.o")], capture_output=True, text=True, check=True
    )
    return {words[7] for line in listed.stdout.splitlines() if len(words := line.split()) == 8 and words[3] == "FUNC"}


def test_a_new_stage_is_a_new_file_and_a_deleted_one_is_gone(made):
    assert programs(made, "agent") == {"first"}
    add_stage(made, "second")
    assert make(made).returncode == 0
    assert programs(made, "agent") == {"first", "second"}
    (made / "src" / "second.bpf.c").unlink()
    assert make(made).returncode == 0
    assert programs(made, "agent") == {"first"}


def test_the_second_run_builds_nothing(made):
    again = make(made)
    assert again.returncode == 0
    assert "clang" not in again.stdout
    assert "bpftool" not in again.stdout


def test_a_changed_header_is_noticed(made):
    header = made / "include" / "sentinel" / "abi.h"
    header.write_text(header.read_text() + "\n")
    assert "abi.bpf.c" in make(made).stdout


def test_the_balancer_the_queue_and_the_detour_are_objects_of_their_own(tree):
    add_stage(tree, "l4lb")
    add_stage(tree, "lbtable")
    add_stage(tree, "qdisc")
    add_stage(tree, "aside")
    add_stage(tree, "rules")
    assert make(tree, "QDISC_CLANG=clang", "QDISC_CLANG_MIN=1").returncode == 0
    assert programs(tree, "agent") == {"first", "rules"}
    assert programs(tree, "lb") == {"l4lb", "lbtable", "rules"}
    assert programs(tree, "qdisc") == {"qdisc"}
    assert programs(tree, "aside") == {"aside"}


def test_a_queue_that_this_clang_cannot_build_is_left_out_and_said(tree):
    add_stage(tree, "qdisc")
    done = make(tree, "QDISC_CLANG=clang", "QDISC_CLANG_MIN=999")
    assert done.returncode == 0
    assert "qdisc.bpf.o is left out: it needs clang >= 999" in done.stdout
    assert not (tree / "build" / "qdisc.bpf.o").exists()


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("CLANG=clang-999", "clang-999 is not installed; install it (apt-get install clang)."),
        ("BPFTOOL=no-bpftool", "no-bpftool is not installed; install it (apt-get install bpftool)."),
        ("CFLAGS=-target bpf -nostdinc", "install them (apt-get install libbpf-dev linux-libc-dev)."),
    ],
)
def test_a_missing_tool_is_named_with_the_way_to_get_it(tree, missing, sentence):
    done = make(tree, missing)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert not (tree / "build" / "agent.bpf.o").exists()


def test_a_warning_stops_the_build(tree):
    (tree / "src" / "first.bpf.c").write_text("static int unused(void) { return 0; }\n")
    assert "-Wunused-function" in make(tree).stderr
