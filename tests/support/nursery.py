"""Operators as processes that begin at once: one process has loaded their modules, and each is a fork of it.

Loading them costs three seconds of CPU, and the tests start two dozen. `python -m support.nursery` reads lines of JSON,
forks an operator for each, and tells its id, and its exit code when it ends. Nothing of it outlives its caller.
"""

import ctypes
import importlib
import json
import os
import queue
import random
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
PROGRAM = "sentinel_operator.__main__"
READ_AT_IMPORT = ("kubernetes.aio.config.kube_config", "kubernetes.config.kube_config")  # KUBECONFIG, by both clients
PR_SET_PDEATHSIG = 1
UP_S = 240.0


class Child:
    """An operator; the part of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()

    def end(self, code: int) -> None:
        self.returncode = code
        self._ended.set()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"operator {self.pid}", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, which: signal.Signals) -> None:
        if self.returncode is None:
            try:
                os.kill(self.pid, which)
            except ProcessLookupError:
                self._ended.wait(UP_S)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Nursery:
    """The caller's end. It may be asked from any thread."""

    def __init__(self) -> None:
        argv = [sys.executable, "-m", "support.nursery"]
        self._process = subprocess.Popen(argv, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._children: dict[int, Child] = {}
        self._born: queue.Queue[Child] = queue.Queue()
        self._asking = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, env: Mapping[str, str], log: Path) -> Child:
        assert self._process.stdin is not None
        log.touch()
        with self._asking:
            self._process.stdin.write(json.dumps({"env": dict(env), "log": str(log)}) + "\n")
            self._process.stdin.flush()
            return self._born.get(timeout=UP_S)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reader.join(UP_S)
        self._process.wait(UP_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said: dict[str, int] = json.loads(line)
            if "code" in said:
                self._children[said["pid"]].end(said["code"])
            else:
                child = self._children[said["pid"]] = Child(said["pid"])
                self._born.put(child)


def _tell(**said: int) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _child(env: Mapping[str, str], log: str) -> None:
    """As `python -m sentinel_operator` would begin with that environment. Does not return."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(told, 1)
    os.dup2(told, 2)
    os.environ.clear()
    os.environ.update(env)
    for name in READ_AT_IMPORT:
        module: Any = importlib.import_module(name)
        module.KUBE_CONFIG_DEFAULT_LOCATION = env["KUBECONFIG"]
    random.seed()
    code = 1
    try:
        program: Any = importlib.import_module(PROGRAM)
        program.main(args=[])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except Exception:  # noqa: BLE001  as the interpreter does at the end of a program
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    for name in (PROGRAM, *READ_AT_IMPORT):
        importlib.import_module(name)
    awake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    alive: set[int] = set()
    asked = b""
    while True:
        ready, _, _ = select.select([0, awake], [], [])
        if awake in ready:
            os.read(awake, 4096)
            _reap(alive)
        if 0 in ready:
            more = os.read(0, 65_536)
            if not more:
                break
            *lines, asked = (asked + more).split(b"\n")
            for line in lines:
                alive.add(_fork(json.loads(line)))
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _fork(asked: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        _child(asked["env"], asked["log"])
    _tell(pid=pid)
    return pid


def _reap(alive: set[int]) -> None:
    for pid in list(alive):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            alive.discard(pid)
            _tell(pid=pid, code=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
