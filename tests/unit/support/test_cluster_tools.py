"""tools/cluster-tools.sh against a Go that only pretends: what is built, what is kept, what a failure says."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "tools" / "cluster-tools.sh"
GO = """#!/bin/bash
[ "$1" = env ] && [ "$2" = GOVERSION ] && echo "${GO_VERSION:-go1.26.0}" && exit
echo "$*" >>"$GO_LOG"
case $1 in
env) echo https://proxy.test ;;
mod) [ -n "${GO_TOOLCHAIN:-}" ] || exit 1; printf '{\\n\\t"Dir": "%s"\\n}\\n' "$GO_TOOLCHAIN" ;;
list) [ -z "${GO_OFFLINE:-}" ] || { echo "dial tcp: no route" >&2; exit 1; }; printf 'one/library\\nother/library\\n' ;;
build)
	[ "$2$GO_BROKEN" = -v ] && exit
	[ "$2" = -v ] && echo one/library >&2 && echo "x.go:1: broken" >&2 && exit 1
	[ -z "${GO_SLOW:-}" ] || { echo half >"$5"; sleep 60; }
	printf '#!/bin/sh\\necho %s\\n' "$6" >"$5" && chmod +x "$5" ;;
esac
"""


class Tools:
    """Runs the script with a cache and a Go of its own."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.log = folder / "go.log"
        self.go = self.programs / "go"
        self.go.write_text(GO)
        self.go.chmod(0o755)
        self.environment = {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "GO_LOG": str(self.log),
        }
        self.cache = folder / "cache" / "sentinel-buffers"

    def __call__(self, *names: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, *names], env=self.environment | environment, capture_output=True, text=True, check=False
        )

    @property
    def folder(self) -> Path:
        return Path(self("--where").stdout.strip())

    def linked(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.rpartition("/")[2] for line in lines if line.startswith("build -ldflags")]


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path)


def test_every_binary_is_built_where_it_is_said(tools: Tools) -> None:
    assert tools().returncode == 0
    names = sorted(path.name for path in tools.folder.iterdir())
    kubernetes = ["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"]
    assert names == sorted(["etcd", "helm", "kwok", *kubernetes])
    assert not list(tools.folder.parent.glob("work-*"))


def test_a_second_run_asks_go_for_nothing(tools: Tools) -> None:
    tools("etcd", "kubectl")
    tools.log.unlink()
    assert tools("etcd", "kubectl").returncode == 0
    assert not tools.log.exists()


def test_only_what_is_missing_is_linked(tools: Tools) -> None:
    tools("kubectl")
    tools.log.unlink()
    tools("kubectl", "kubelet")
    assert tools.linked() == ["kubelet"]


def test_a_damaged_binary_is_found_named_and_built_again(tools: Tools) -> None:
    tools("kubectl", "kubelet")
    good = (tools.folder / "kubectl").read_bytes()
    (tools.folder / "kubectl").write_bytes(good[:-3])
    tools.log.unlink()
    done = tools("kubectl", "kubelet")
    assert "the cached kubectl is damaged: building it again" in done.stderr
    assert (tools.folder / "kubectl").read_bytes() == good
    assert tools.linked() == ["kubectl"]


def test_a_binary_without_a_checksum_counts_as_half_built(tools: Tools) -> None:
    tools("kubectl")
    (tools.folder.parent / "sums" / "kubectl").unlink()
    tools.log.unlink()
    tools("kubectl")
    assert tools.linked() == ["kubectl"]


def test_a_run_that_was_killed_leaves_no_half_binary_and_is_taken_up(tools: Tools) -> None:
    with subprocess.Popen(
        [SCRIPT, "kubectl"],
        env=tools.environment | {"GO_SLOW": "1"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        while not list(tools.cache.glob("tools/*/work-*/kubectl")):
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGKILL)
    assert not (tools.folder / "kubectl").exists()
    assert tools("kubectl").returncode == 0
    assert subprocess.run([tools.folder / "kubectl"], capture_output=True, check=True, text=True).stdout.endswith(
        "kubectl\n"
    )
    assert not list(tools.folder.parent.glob("work-*"))


def test_without_go_it_says_what_to_install(tools: Tools, tmp_path: Path) -> None:
    rest = tmp_path / "rest"  # a machine that was set up has the distribution's Go in /usr/bin
    rest.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name != "go":
            (rest / program.name).symlink_to(program)
    done = tools("etcd", PATH=str(rest))
    assert done.returncode == 1
    assert done.stderr.endswith(
        "Go is missing: install golang-go, or put Go 1.24.0 or newer on PATH, then run this again.\n"
    )


def test_an_old_go_fetches_a_newer_one(tools: Tools, tmp_path: Path) -> None:
    newer = tmp_path / "toolchain"
    for name in ("bin", "pkg/tool/linux"):
        (newer / name).mkdir(parents=True)
        (newer / name / "go").write_text(GO)
    done = tools("etcd", GO_VERSION="go1.19.8", GO_TOOLCHAIN=str(newer))
    assert "Go 1.19.8 is older than 1.24.0: fetching Go 1.25.5 as a module" in done.stderr
    assert done.returncode == 0
    assert (tools.cache / "go" / "go1.25.5" / "bin" / "go").stat().st_mode & 0o111


def test_an_old_go_without_network_says_so(tools: Tools) -> None:
    done = tools("etcd", GO_VERSION="go1.19.8")
    assert done.returncode == 1
    assert done.stderr.endswith("could not be fetched: check the network, or put Go 1.24.0 or newer on PATH.\n")


def test_without_network_it_tries_twice_and_says_what_to_check(tools: Tools) -> None:
    done = tools("etcd", GO_OFFLINE="1")
    assert done.returncode == 1
    assert "no route" in done.stderr
    assert "could not be fetched: check the network and GOPROXY (https://proxy.test)" in done.stderr
    assert tools.log.read_text().count("list -deps") == 2


def test_a_compile_error_is_shown(tools: Tools) -> None:
    done = tools("etcd", GO_BROKEN="1")
    assert done.returncode == 1
    assert "x.go:1: broken" in done.stderr
    assert "Compiling failed (above)" in done.stderr


def test_an_unknown_name_is_refused_with_the_known_ones(tools: Tools) -> None:
    done = tools("kubeadm")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tools: There is no tool 'kubeadm': use etcd kube-apiserver")


def test_a_cache_that_cannot_be_written_is_named(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    done = tools("etcd")
    assert done.returncode == 1
    assert "make it yours, or set XDG_CACHE_HOME to a folder that is." in done.stderr
