"""A command in a terminal of its own, kept as an asciinema cast and drawn as an SVG that plays its frames."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import struct
import termios
import time
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Final

import pyte

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLUMNS, ROWS = 100, 18
CELL_X, CELL_Y, FONT_PX = 8.4, 18, 14
BACKGROUND, FOREGROUND = "#1b1f2a", "#d7dce5"
COLOURS: Final = {
    "black": "#3b4252", "red": "#e06c75", "green": "#8ecb7f", "brown": "#e5c07b", "yellow": "#e5c07b",
    "blue": "#6cb0f0", "magenta": "#c78cdd", "cyan": "#5fc3cf", "white": "#d7dce5",
}  # fmt: skip
FRAMES: Final = 24
LONGEST_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a command wrote, and when."""

    argv: tuple[str, ...]
    events: tuple[tuple[float, str], ...]

    def cast(self) -> str:
        """In asciinema's format, version 2; pauses are shortened, as its players do."""
        head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": " ".join(self.argv)}
        lines = (json.dumps([round(at, 3), "o", text]) for at, text in self.events)
        return "\n".join([json.dumps(head), *lines]) + "\n"


def recorded(argv: Sequence[str], typed_at_last: str = "", after_s: float = 0.0) -> Recorded:
    """Runs to its end in a pseudo-terminal, or until what ends it was typed after so long."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(argv[0], list(argv))  # noqa: S606  a command of our own
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    decode, events, at_s = codecs.getincrementaldecoder("utf-8")("replace"), [], 0.0
    last_s = began_s = time.monotonic()
    while True:
        if typed_at_last and time.monotonic() - began_s > after_s:
            os.write(terminal, typed_at_last.encode())
            typed_at_last = ""
        try:
            read = os.read(terminal, 65536)
        except OSError:  # the child has closed its end
            break
        now_s = time.monotonic()
        at_s, last_s = at_s + min(now_s - last_s, LONGEST_PAUSE_S), now_s
        events.append((at_s, decode.decode(read)))
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(argv)} failed: {events[-1][1] if events else 'it said nothing'}")
    os.close(terminal)
    return Recorded(tuple(argv), tuple(events))


def svg(told: Recorded) -> str:
    """Each frame is shown for its share of the time; the last one stays. Who wants no motion sees the last alone."""
    frames = list(_frames(told))
    width, height = COLUMNS * CELL_X + 24, ROWS * CELL_Y + 24
    seconds = max(8.0, told.events[-1][0])
    each = 100 / len(frames)
    shown = "".join(
        f".f{n}{{animation:f{n} {seconds:.1f}s steps(1) infinite}}"
        f"@keyframes f{n}{{0%{{opacity:0}}{each * n:.3f}%{{opacity:1}}{each * (n + 1):.3f}%{{opacity:0}}}}"
        for n in range(len(frames))
    )
    still = f"@media(prefers-reduced-motion){{.f{{animation:none!important}}.f{len(frames) - 1}{{opacity:1}}}}"
    groups = "".join(f'<g class="f f{n}">{frame}</g>' for n, frame in enumerate(frames))
    text = f"text{{font:{FONT_PX}px 'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}}"
    style = f"{text}.f{{opacity:0}}{shown}{still}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" '
        f'aria-label="{escape(" ".join(told.argv))} in a terminal"><style>{style}</style>'
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>{groups}</svg>\n'
    )


def _frames(told: Recorded) -> Iterator[str]:
    """At equal distances in time, the last of them the end."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    due = [told.events[-1][0] * (n + 1) / FRAMES for n in range(FRAMES)]
    waiting = iter(due)
    next_s = next(waiting)
    for at, text in told.events:
        while at > next_s:
            yield _drawn(screen)
            next_s = next(waiting, float("inf"))
        stream.feed(text)
    yield _drawn(screen)


def _drawn(screen: pyte.Screen) -> str:
    return "".join(_row(screen, y) for y in range(ROWS))


def _row(screen: pyte.Screen, y: int) -> str:
    """Runs of equal colours; blanks at the end are left out."""
    cells = [screen.buffer[y][x] for x in range(COLUMNS)]
    parts, x = [], 0
    for (colour, bold), run in groupby(cells, key=lambda cell: (_colour(cell), cell.bold)):
        text = "".join(cell.data for cell in run)
        if text.strip():
            weight = ' font-weight="bold"' if bold else ""
            at = f'x="{12 + x * CELL_X:.1f}" y="{12 + (y + 0.78) * CELL_Y:.1f}" textLength="{len(text) * CELL_X:.1f}"'
            parts.append(f'<text {at} fill="{colour}"{weight}>{escape(text)}</text>')
        x += len(text)
    return "".join(parts)


def _colour(cell: pyte.screens.Char) -> str:
    name = cell.bg if cell.reverse and cell.bg != "default" else cell.fg
    if name == "default":
        return FOREGROUND
    plain = name.removeprefix("bright")
    return COLOURS.get(plain, f"#{name}" if len(name) == 6 else FOREGROUND)
