"""A namespace holder: a process whose death ends everything that lives in its namespaces."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.cluster.processes import Process, wait_until
from support.cluster.provider import Finished

INIT = Path(__file__).parent / "node-init.sh"
KINDS = {"net": "net", "mount": "mnt", "pid": "pid_for_children", "uts": "uts", "ipc": "ipc"}
UP_S = 120.0


class Holder:
    """`network` holds a network alone (the switch); `node` a whole machine as far as programs can tell."""

    def __init__(self, process: Process, kinds: Sequence[str], ready: Path | None) -> None:
        self.process = process
        self._kinds = kinds
        self._ready = ready

    @classmethod
    def network(cls, name: str, folder: Path, *, tied: bool) -> "Holder":
        return cls(Process(name, ["unshare", "--net", "--", "sleep", "infinity"], folder, tied=tied), ["net"], None)

    @classmethod
    def node(cls, name: str, folder: Path, *, tied: bool) -> "Holder":
        options = ["--net", "--mount", "--pid", "--uts", "--ipc", "--mount-proc", "--propagation=private"]
        argv = ["unshare", *options, "--kill-child=KILL", "--", str(INIT), name, str(folder)]
        return cls(Process("holder", argv, folder, tied=tied), list(KINDS), folder / "run" / "node-is-up")

    @property
    def pid(self) -> int:
        identity = self.process.identity
        if identity is None:
            raise self.process.failure("is not running")
        return identity.pid

    def start(self) -> None:
        self.process.start()
        wait_until(f"the namespaces of {self.process.name}", self._separate, UP_S)

    def enter(self) -> list[str]:
        """What to put before a command so that it runs inside."""
        spaces = [f"--{kind}=/proc/{self.pid}/ns/{KINDS[kind]}" for kind in self._kinds]
        return ["nsenter", *spaces, *(["--wd=/"] if "mount" in self._kinds else []), "--"]

    def run(self, *argv: str, check: bool = True, stdin: str | None = None) -> Finished:
        try:
            return subprocess.run([*self.enter(), *argv], check=check, capture_output=True, text=True, input=stdin)
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr)
            raise

    def _separate(self) -> bool:
        self.process.check()
        if self._ready is not None:
            return self._ready.exists()
        return Path(f"/proc/{self.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
