"""The agent's own process, deaf to others: nothing else of it is replaced.

    python -m sentinel_lab.deaf alarms --config agent.yaml      to what neighbours see coming
    python -m sentinel_lab.deaf everybody --config agent.yaml   and to what balancers say they will send

What it grants later than the agent as it ships is what the telling is worth.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel_agent import __main__ as agent
from sentinel_agent import neighbours
from sentinel_api.records import CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def no_news(_listener: neighbours.Listener) -> list[Any]:
    return []


def no_shares(_shares: Mapping[str, Any], _node: str) -> NDArray[np.float64]:
    return np.zeros(CLASSES)


def main() -> None:
    to = sys.argv.pop(1)
    replaced: Any = neighbours
    replaced.Listener._news = no_news
    if to == "everybody":
        replaced.announced = no_shares
    agent.main()


if __name__ == "__main__":
    main()
