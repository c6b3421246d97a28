"""A control plane for a benchmark in another process: `python -m support.operator_plane FOLDER`.

Prints one line of JSON when it is up (where it listens, an administrator's token and kubeconfig, the operator's under
the chart's rights, where kwok is), and ends when its standard input does.
"""

import json
import sys
from pathlib import Path

from support.cluster.binaries import binary
from support.operators import SYSTEM, prepared


def main(folder: Path) -> None:
    with prepared(folder) as plane:
        token = plane.service_account_token(SYSTEM, "sentinel-operator")
        operator = plane.kubeconfig_for(token, folder / "operator.kubeconfig")
        known = {
            "url": plane.url,
            "token": plane.token,
            "ca": str(plane.pki.root),
            "admin": str(plane.kubeconfig),
            "operator": str(operator),
            "kwok": str(binary("kwok")),
            "namespace": SYSTEM,
        }
        sys.stdout.write(json.dumps(known) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
