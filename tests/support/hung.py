"""The product's agent or balancer, whose tick waits as long as a file is there, and everything else goes on; an agent
whose tick can read nothing as long as one of that name and `.fails` is there:

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
FAILS = ".fails"
MAIN = {"sentinel_agent": "agent", "sentinel_lb": "balancer"}


def hang_while(loop: Any, there: Path) -> None:
    tick = loop.tick

    def waiting(*given: Any) -> Any:
        while there.exists():
            time.sleep(LOOK_S)
        return tick(*given)

    loop.tick = waiting


def fail_while(loop: Any, there: Path) -> None:
    observe = loop._observe

    def failing(*given: Any) -> Any:
        if there.exists():
            raise Transient("no interface can be read: a test wants it so")
        return observe(*given)

    loop._observe = failing


def main() -> None:
    program, flag = sys.argv.pop(1), Path(sys.argv.pop(1))
    loop = importlib.import_module(f"{program}.loop").Loop
    hang_while(loop, flag)
    if program == "sentinel_agent":
        fail_while(loop, flag.with_suffix(FAILS))
    getattr(importlib.import_module(f"{program}.__main__"), MAIN[program])()


if __name__ == "__main__":
    main()
