"""Single keys from a terminal, also over ssh; it is left as it was found, whatever happens."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sentinel_cli.top.seen import ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_cli.top.view import Choice

ENTER, ESCAPE, ERASE = ("\r", "\n"), "\x1b", ("\x7f", "\b")


@contextmanager
def single_keys() -> Iterator[int]:
    """The terminal's descriptor, without line editing and echo; Ctrl-C still interrupts."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield terminal
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def pressed(terminal: int, wait_s: float) -> str:
    """What was typed meanwhile, nothing when the time is over."""
    ready, _, _ = select.select([terminal], [], [], wait_s)
    return os.read(terminal, 64).decode(errors="ignore") if ready else ""


def obey(choice: Choice, typed: str) -> bool:
    """False when that was enough. An arrow key is one escape sequence, not three keys."""
    if typed.startswith(ESCAPE) and len(typed) > 1:
        return True
    for key in typed:
        if choice.typing:
            _type(choice, key)
        elif key == "q":
            return False
        elif key == "/":
            choice.typing, choice.wanted = True, ""
        elif key == ESCAPE:
            choice.wanted = ""
        elif key in ORDERS:
            choice.order = key
    return True


def _type(choice: Choice, key: str) -> None:
    if key in ENTER:
        choice.typing = False
    elif key == ESCAPE:
        choice.typing, choice.wanted = False, ""
    elif key in ERASE:
        choice.wanted = choice.wanted[:-1]
    elif key.isprintable():
        choice.wanted += key
