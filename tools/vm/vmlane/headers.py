"""Headers of a kernel, for what compiles inside its guest: fetched as the kernel is, kept beside it, never installed.

Debian splits them in two packages, of which one is common to all flavours; here they are one folder again.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from vmlane.catalogue import LaneError
from vmlane.store import downloaded, locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vmlane.catalogue import Kernel

FLAVOUR: Final = "cloud-amd64"
LINKS: Final = shutil.ignore_patterns("scripts", "tools")
"""To programs of a third package, which only building a kernel needs."""


def ensure(
    kernel: Kernel, root: Path, say: Callable[[str], None], fetch: Callable[[Kernel, Path], list[Path]] | None = None
) -> Path:
    """The folder that bcc is given. Raises LaneError where they cannot be had."""
    home = root / f"{kernel.name}.headers"
    home.mkdir(parents=True, exist_ok=True)
    whole = home / "tree"
    with locked(root / f"{kernel.name}.headers.lock"):
        if not whole.is_dir():
            say(f"headers of kernel {kernel.name}: not in the cache, fetching them from {kernel.suite}")
            _unpack((fetch or from_apt)(kernel, home), home, whole)
    return whole


def from_apt(kernel: Kernel, home: Path) -> list[Path]:
    """The newest of the kernel's series: where the kernel in the cache is older, those of a near version do."""
    pattern = kernel.package.replace("linux-image-", "linux-headers-")
    return downloaded(kernel, home, pattern, lambda own: (own, own.replace(FLAVOUR, "common")))


def _unpack(packages: list[Path], home: Path, whole: Path) -> None:
    fresh = home / "unpacking"
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "files").mkdir(parents=True)
    for package in packages:
        done = subprocess.run(["dpkg-deb", "-x", package, fresh / "files"], capture_output=True, text=True, check=False)
        package.unlink()
        if done.returncode:
            raise LaneError(f"{package.name} cannot be unpacked ({done.stderr.strip()}); run it again to fetch it.")
    for part in sorted((fresh / "files/usr/src").glob("linux-headers-*")):
        shutil.copytree(part, fresh / "tree", symlinks=True, dirs_exist_ok=True, ignore=LINKS)
    (fresh / "tree").rename(whole)
    shutil.rmtree(fresh)
