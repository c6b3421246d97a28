"""`python -m pictures terminal|dashboards|operator`: a recording of the demo, or panels of dashboards, to docs/img/."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from pictures import dashboards, terminal, watched

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "docs/img"
CAST = ROOT / "out/pictures/demo.cast"  # to play; too much for a repository
BOARDS = {"dashboards": (dashboards.OF_LAB, watched.lab), "operator": (dashboards.OF_FLEET, watched.fleet)}
DEMO = (str(ROOT / ".venv/bin/sentinel"), "demo", "--simulate")


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
        return
    told = terminal.recorded(DEMO)
    told = terminal.Recorded(("sentinel", *DEMO[1:]), told.events)
    CAST.parent.mkdir(parents=True, exist_ok=True)
    CAST.write_text(told.cast())
    (IMAGES / "demo.svg").write_text(terminal.svg(told))


if __name__ == "__main__":
    main()
