"""The product's agent as in a pod, where there is none:

    python -m support.at_api PORT TOKEN_FILE CA_FILE

Who finds out where the API server is, is wrapped from outside; everything after that is the product's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sentinel_agent import __main__ as agent
from sentinel_agent.kube import Access


def main() -> None:
    port, token, ca = sys.argv[1:4]
    del sys.argv[1:]
    wrapped: Any = Access
    wrapped.in_cluster = staticmethod(lambda _env: Access("127.0.0.1", int(port), Path(token), Path(ca)))
    agent.main()


if __name__ == "__main__":
    main()
