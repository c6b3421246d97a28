"""Kernels on disk: fetched once through apt with its signature check, verified on every use, mended when damaged.

A kernel's folder in the cache holds the package as apt delivered it, what was unpacked from it, and a manifest with a
digest of each file. A damaged file is unpacked again from the package; a damaged package is fetched again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmlane.catalogue import Kernel, LaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FETCH_TIMEOUT_S = 900
MANIFEST = "manifest.json"
FORMAT = 1  # raised when the layout below changes, so that older folders are unpacked anew


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a kernel's folder must hold: the package, and the digest of each file unpacked from it."""

    format: int
    release: str
    package: str
    package_sha256: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """A kernel that is ready to boot."""

    kernel: Kernel
    release: str
    image: Path
    modules: Path  # the folder that a guest links as /lib/modules/<release>


def cache_root() -> Path:
    """Where kernels are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sentinel-buffers" / "kernels"


def ensure(
    kernel: Kernel,
    root: Path,
    say: Callable[[str], None],
    fetch: Callable[[Kernel, Path], Path] | None = None,
) -> Stored:
    """The kernel, whatever state the cache was in; two runs at once wait for each other."""
    home = root / kernel.name
    home.mkdir(parents=True, exist_ok=True)
    with locked(root / f"{kernel.name}.lock"):
        damage = _damage(home)
        if damage:
            package = _kept_package(home)
            if package is None:
                say(f"kernel {kernel.name}: {damage}, fetching it from {kernel.suite}")
                package = (fetch or from_apt)(kernel, home)
            else:
                say(f"kernel {kernel.name}: {damage}, unpacking it again")
            _unpack(package, home)
        return _stored(kernel, home)


def from_apt(kernel: Kernel, home: Path) -> Path:
    """Download the newest matching package with apt's own signature check; an interrupted download is continued."""
    if not Path(kernel.keyring).exists():
        raise LaneError(f"{kernel.keyring} is missing; install debian-archive-keyring.")
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise LaneError("The VM lane fetches kernels with apt; run it on Debian or Ubuntu.")
    (package,) = downloaded(kernel, home, kernel.package, lambda newest: (newest,))
    return package


def downloaded(kernel: Kernel, home: Path, pattern: str, wanted: Callable[[str], tuple[str, ...]]) -> list[Path]:
    """What is wanted with the newest package of that name; nothing else is left in the folder."""
    config = apt_root(kernel, home / "apt")
    apt(kernel, home, "apt-get", "-c", str(config), "-q", "update")
    names = apt(kernel, home, "apt-cache", "-c", str(config), "pkgnames", "linux-").split()
    matching = [name for name in names if re.fullmatch(pattern, name)]
    if not matching:
        raise LaneError(f"{kernel.suite} has no package {pattern!r} any more; mend tools/vm/kernels.toml.")
    packages = wanted(max(matching, key=lambda name: [int(number) for number in re.findall(r"\d+", name)]))
    for stale in home.glob("*.deb"):
        stale.unlink()
    apt(kernel, home, "apt-get", "-c", str(config), "-q", "download", *packages)
    found = list(home.glob("*.deb"))
    if len(found) != len(packages):
        raise LaneError(f"apt delivered no package for kernel {kernel.name}; run the command again.")
    shutil.rmtree(home / "apt")
    return found


def apt_root(kernel: Kernel, apt: Path) -> Path:
    """An apt of its own: no source, list, cache or status file is shared with the machine's apt."""
    (apt / "state/lists/partial").mkdir(parents=True, exist_ok=True)
    (apt / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    sources = apt / "sources.list"
    sources.write_text(f"deb [arch=amd64 signed-by={kernel.keyring}] {kernel.mirror} {kernel.suite} main\n")
    config = apt / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourcelist "{sources}";\n'
        'Dir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State "{apt}/state";\n'
        'Dir::State::status "/dev/null";\n'
        f'Dir::Cache "{apt}/cache";\n'
        'Acquire::Languages "none";\n'
        'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";\n'
        'Acquire::Retries "2";\n'
        'Acquire::http::Timeout "20";\n'
        'APT::Architecture "amd64";\n'
        'APT::Sandbox::User "root";\n'
        'APT::Update::Error-Mode "any";\n'
        # The machine's hooks are about the machine's packages.
        "#clear APT::Update::Post-Invoke;\n"
        "#clear APT::Update::Post-Invoke-Success;\n"
        "#clear DPkg::Post-Invoke;\n"
    )
    return config


def apt(kernel: Kernel, home: Path, *command: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=home, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False, env=_apt_env()
        )
    except subprocess.TimeoutExpired as error:
        raise LaneError(f"Fetching kernel {kernel.name} took too long; run it again, it continues.") from error
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["apt gave no reason"]
        raise LaneError(f"Cannot fetch kernel {kernel.name} from {kernel.mirror}; check the network ({reasons[0]}).")
    return done.stdout


def _apt_env() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


def _kept_package(home: Path) -> Path | None:
    """The package in the cache, if it is the one that was once unpacked; never a stranger or half of one."""
    manifest = _manifest(home)
    if manifest is None:
        return None
    package = home / manifest.package
    return package if package.is_file() and _digest(package) == manifest.package_sha256 else None


def _unpack(package: Path, home: Path) -> None:
    fresh = home / "unpacking"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(home / "tree", ignore_errors=True)
    fresh.mkdir()
    done = subprocess.run(["dpkg-deb", "-x", package, fresh], capture_output=True, text=True, check=False)
    if done.returncode:
        package.unlink()
        raise LaneError(f"{package.name} cannot be unpacked ({done.stderr.strip()}); run it again to fetch it anew.")
    image = next(fresh.glob("boot/vmlinuz-*"))
    release = image.name.removeprefix("vmlinuz-")
    tree = fresh / "tree"
    modules = tree / "lib/modules" / release
    modules.parent.mkdir(parents=True)
    shutil.move(next(fresh.glob(f"**/lib/modules/{release}")), modules)
    shutil.move(image, tree / "vmlinuz")
    shutil.move(fresh / f"boot/config-{release}", tree / "config")
    _decompress(modules)
    subprocess.run(["busybox", "depmod", "-b", tree, release], check=True, capture_output=True)
    tree.rename(home / "tree")
    shutil.rmtree(fresh)
    _write_manifest(package, home, release)


def _decompress(modules: Path) -> None:
    """Guests load modules with busybox, which reads plain ones only; unpacking them under emulation would cost more."""
    for packed in modules.rglob("*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()


def _write_manifest(package: Path, home: Path, release: str) -> None:
    tree = home / "tree"
    files = {str(path.relative_to(tree)): _digest(path) for path in sorted(tree.rglob("*")) if path.is_file()}
    whole = home / f"{MANIFEST}.new"
    whole.write_text(json.dumps(asdict(Manifest(FORMAT, release, package.name, _digest(package), files)), indent=1))
    whole.rename(home / MANIFEST)


def _damage(home: Path) -> str:
    """What is wrong with the folder, in words; empty when it can be booted as it is."""
    manifest = _manifest(home)
    if manifest is None:
        return "not in the cache"
    for name, digest in manifest.files.items():
        path = home / "tree" / name
        if not path.is_file() or _digest(path) != digest:
            return f"{name} in the cache is damaged"
    return ""


def _manifest(home: Path) -> Manifest | None:
    try:
        manifest = Manifest(**json.loads((home / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return manifest if manifest.format == FORMAT else None


def _stored(kernel: Kernel, home: Path) -> Stored:
    manifest = _manifest(home)
    assert manifest is not None
    tree = home / "tree"
    return Stored(kernel, manifest.release, tree / "vmlinuz", tree / "lib/modules" / manifest.release)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
