"""The product's agent or balancer, whose tick hangs as long as a file is there, or fails if that file says so, while
everything else goes on:

    python -m support.hung sentinel_agent FILE --config agent.yaml

Nothing of this is in the product: the loop's step is wrapped from outside before the process starts.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

from sentinel_api.errors import Transient

LOOK_S = 0.05
FAIL = "fail"
MAIN = {"sentinel_agent": "agent", "sentinel_lb": "balancer"}


def hang_while(loop: Any, there: Path) -> None:
    tick = loop.tick

    def waiting(*given: Any) -> Any:
        while (said := _said(there)) is not None:
            if said == FAIL:
                raise Transient("told to fail")
            time.sleep(LOOK_S)
        return tick(*given)

    loop.tick = waiting


def _said(there: Path) -> str | None:
    try:
        return there.read_text()
    except FileNotFoundError:
        return None


def main() -> None:
    program, flag = sys.argv.pop(1), Path(sys.argv.pop(1))
    hang_while(importlib.import_module(f"{program}.loop").Loop, flag)
    getattr(importlib.import_module(f"{program}.__main__"), MAIN[program])()


if __name__ == "__main__":
    main()
