"""Where the cluster binaries are that `make tools` built; nothing here builds or fetches."""

import functools
import shutil
import subprocess
from pathlib import Path

from support.cluster.errors import Unavailable

SCRIPT = Path(__file__).parents[3] / "tools" / "cluster-tools.sh"
CONTROL_PLANE = ("etcd", "kube-apiserver", "kubectl")


@functools.cache
def folder() -> Path:
    """The script alone knows how the cache is keyed."""
    where = subprocess.run([SCRIPT, "--where"], check=True, capture_output=True, text=True)
    return Path(where.stdout.strip())


def binary(name: str) -> Path:
    path = folder() / name
    if not path.exists():
        raise Unavailable(f"{name} is not built: run `make tools` (or `tools/cluster-tools.sh {name}`) first.")
    return path


def kubectl() -> Path:
    """Ours, of the tested version, or else the machine's."""
    try:
        return binary("kubectl")
    except Unavailable:
        found = shutil.which("kubectl")
        if found is None:
            raise
        return Path(found)
