"""Real routing daemons in namespaces: FRR beside a balancer, and others as its peers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from support.lb_lab import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from sentinel_lab.namespaces import Namespace

FRR: Final = Path("/usr/lib/frr")
RUN: Final = Path("/run/frr")
DAEMONS: Final = ("zebra", "bgpd", "bfdd")


def need(*peers: str) -> None:
    """Skips where FRR, or one of the peers' programs, is missing."""
    if not (FRR / "frr-reload.py").exists() or any(shutil.which(name) is None for name in peers):
        pytest.skip("needs frr, frr-pythontools, bird2 and gobgpd")


def child(stack: ExitStack, space: Namespace, argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with space.entered(), log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def frr(stack: ExitStack, space: Namespace, instance: str, folder: Path) -> None:
    """Its daemons, up and without a configuration; `folder` is for their logs and the name `instance` their own."""
    run_folder = RUN / instance
    stack.callback(shutil.rmtree, run_folder, ignore_errors=True)
    run_folder.mkdir(parents=True)
    shutil.chown(run_folder, "frr", "frr")
    (folder / instance).mkdir()
    (folder / instance / "vtysh.conf").write_text("service integrated-vtysh-config\n")
    options = ["-N", instance, "-u", "frr", "-g", "frr", "-f", os.devnull, "-P", "0", "--log", "stdout"]
    for daemon in DAEMONS:
        child(stack, space, [str(FRR / daemon), *options], folder / f"{instance}-{daemon}.log")
    wait_until(lambda: all((run_folder / f"{each}.vty").exists() for each in DAEMONS), "FRR is up")


class Bird:
    """BIRD with a configuration of its own, and what it says."""

    def __init__(self, stack: ExitStack, space: Namespace, folder: Path, config: str) -> None:
        self._control = folder / "bird.ctl"
        (folder / "bird.conf").write_text(config)
        argv = ["bird", "-f", "-c", str(folder / "bird.conf"), "-s", str(self._control)]
        child(stack, space, argv, folder / "bird.log")

    def says(self, *words: str) -> str:
        argv = ["birdc", "-r", "-s", str(self._control), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60).stdout

    def sessions(self) -> dict[str, str]:
        """Since when each of its BGP sessions stands."""
        rows = [line.split() for line in self.says("show", "protocols").splitlines()]
        return {row[0]: row[4] for row in rows if len(row) > 4 and row[1] == "BGP" and row[-1] == "Established"}

    def routes(self) -> set[str]:
        """Addresses that its sessions told it."""
        lines = self.says("show", "route").splitlines()
        return {line.split("/")[0] for line in lines if "/" in line and "unicast [" in line}
