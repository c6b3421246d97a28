"""The product's agent or balancer, whose tick waits as long as a file is there, and everything else goes on:

    python -m support.hung sentinel_agent FILE --config agent.yaml

Nothing of this is in the product: the loop's step is wrapped from outside before the process starts.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

LOOK_S = 0.05
MAIN = {"sentinel_agent": "agent", "sentinel_lb": "balancer"}


def hang_while(loop: Any, there: Path) -> None:
    tick = loop.tick

    def waiting(*given: Any) -> Any:
        while there.exists():
            time.sleep(LOOK_S)
        return tick(*given)

    loop.tick = waiting


def main() -> None:
    program, flag = sys.argv.pop(1), Path(sys.argv.pop(1))
    hang_while(importlib.import_module(f"{program}.loop").Loop, flag)
    getattr(importlib.import_module(f"{program}.__main__"), MAIN[program])()


if __name__ == "__main__":
    main()
