"""A command in a terminal of its own, as a person sees it: what stands on the screen, keys, another size, the end."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PATIENCE_S = 120.0
ALTERNATE, MAIN = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """The caller's end; `said` is everything that was ever written, `screen` what of it can be seen."""

    def __init__(self, argv: Sequence[str], columns: int, rows: int) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.said = ""
        self._stream, self._decoder = pyte.Stream(self.screen), codecs.getincrementaldecoder("utf-8")("replace")
        self._ours, self._theirs = pty.openpty()
        self.resize(columns, rows)
        self.settings = self.settings_now()
        # setsid makes it the session's terminal, so that keys and sizes become signals.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *argv], stdin=self._theirs, stdout=self._theirs, stderr=self._theirs,
            env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
            | {"TERM": "xterm-256color"},
        )  # fmt: skip

    def settings_now(self) -> list[object]:
        """Of the terminal itself, whoever uses it: echo, line editing, signals."""
        return termios.tcgetattr(self._theirs)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    def shows(self, text: str) -> bool:
        return any(text in line for line in self.screen.display)

    def wait_until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert self.process.poll() is None, f"it ended: {self.said[-2000:]}"
            assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s for {what}:\n" + "\n".join(self.lines)
            self._listen()

    def wait_for(self, text: str) -> None:
        self.wait_until(lambda: self.shows(text), repr(text))

    def end(self) -> int:
        """Its exit code, once it has ended by itself and everything that it said was heard."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still there after {PATIENCE_S:g} s:\n" + "\n".join(self.lines)
            self._listen()
        while self._listen():
            continue
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def _listen(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], 0.05)
        if ready:
            text = self._decoder.decode(os.read(self._ours, 65536))
            self.said += text
            self._stream.feed(text)
        return bool(ready)


@contextmanager
def terminal(argv: Sequence[str], columns: int = 110, rows: int = 40) -> Iterator[Terminal]:
    opened = Terminal(argv, columns, rows)
    try:
        yield opened
    finally:
        opened.close()
