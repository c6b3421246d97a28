"""`python -m pictures terminal|dashboards|operator`: a recording of the demo, or panels of dashboards with one of
`sentinel top` beside them, to docs/img/."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from pictures import dashboards, terminal, watched

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "docs/img"
CASTS = ROOT / "out/pictures"  # to play; too much for a repository
BOARDS = {"dashboards": (dashboards.OF_LAB, watched.lab), "operator": (dashboards.OF_FLEET, watched.fleet)}
SENTINEL = str(ROOT / ".venv/bin/sentinel")
TOP_S = 40.0  # its past is thirty looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("terminal", *BOARDS))
    parser.add_argument(
        "--prometheus", default="", help="for dashboards and operator: where to ask; else a lab is built and watched"
    )
    parser.add_argument("--seconds", type=int, default=90, help="for dashboards and operator: how far back")
    asked = parser.parse_args()
    if asked.what in BOARDS:
        names, built = BOARDS[asked.what]
        with nullcontext(asked.prometheus) if asked.prometheus else built(asked.seconds) as prometheus:
            for name in names:
                dashboards.draw(name, prometheus, asked.seconds, IMAGES / f"dashboard-{name}.png")
            if asked.what == "dashboards" and not asked.prometheus:
                _play(terminal.recorded((SENTINEL, "top", *watched.nodes()), "q", TOP_S), "top")
        return
    _play(terminal.recorded((SENTINEL, "demo", "--simulate")), "demo")


def _play(told: terminal.Recorded, name: str) -> None:
    told = terminal.Recorded(("sentinel", *told.argv[1:]), told.events)
    CASTS.mkdir(parents=True, exist_ok=True)
    (CASTS / f"{name}.cast").write_text(told.cast())
    (IMAGES / f"{name}.svg").write_text(terminal.svg(told))


if __name__ == "__main__":
    main()
