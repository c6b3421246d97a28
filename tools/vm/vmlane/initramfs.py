"""The few files a guest needs before it can see the host's root: busybox, a handful of modules, what to run."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from vmlane.catalogue import LaneError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmlane.store import Stored

# What a guest needs to reach its root: the bus, the share, the layer over it, and a seed for the random numbers.
WANTED = ("virtio_pci", "virtiofs", "overlay", "virtio-rng")
FOLDERS = ("bin", "dev", "lower", "modules", "proc", "root", "sys", "upper")
# A dynamic program names its interpreter right behind its headers.
INTERPRETER, INTERPRETER_WITHIN = b"/ld-linux", 4096
FOLDER, PROGRAM, FILE = 0o040755, 0o100755, 0o100644


def build(stored: Stored, init: Path, job: str, marker: bytes) -> bytes:
    """An uncompressed archive in the kernel's `newc` format: emulated CPUs unpack slowly."""
    modules = [stored.modules / name for name in load_order(stored.modules, WANTED)]
    files = {
        "init": (PROGRAM, init.read_bytes()),
        "job": (FILE, job.encode()),
        "settings": (FILE, f"modules={shlex.quote(str(stored.modules))}\nrelease={stored.release}\n".encode()),
        "marker": (FILE, marker),
        "bin/busybox": (PROGRAM, busybox().read_bytes()),
        "modules/order": (FILE, "".join(f"{module.name}\n" for module in modules).encode()),
        **{f"modules/{module.name}": (FILE, module.read_bytes()) for module in modules},
    }
    records = [(name, FOLDER, b"") for name in FOLDERS] + [(name, mode, data) for name, (mode, data) in files.items()]
    return b"".join(_record(*record) for record in [*records, ("TRAILER!!!", 0, b"")])


def busybox() -> Path:
    """A busybox that needs no libraries: there are none in the archive."""
    found = shutil.which("busybox")
    if found is None or INTERPRETER in Path(found).read_bytes()[:INTERPRETER_WITHIN]:
        raise LaneError("The VM lane needs a static busybox; install busybox-static.")
    return Path(found)


def load_order(modules: Path, wanted: Iterable[str]) -> list[str]:
    """Paths of the wanted modules and all they depend on, dependencies first; what is built in needs no file."""
    depends = dict(_dependencies(modules))
    paths = {Path(path).stem.replace("-", "_"): path for path in depends}
    order: list[str] = []

    def visit(path: str) -> None:
        for dependency in depends[path]:
            visit(dependency)
        if path not in order:
            order.append(path)

    for name in wanted:
        path = paths.get(name.replace("-", "_"))
        if path is not None:
            visit(path)
    return order


def _dependencies(modules: Path) -> Iterator[tuple[str, list[str]]]:
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        yield path, rest.split()


def _record(name: str, mode: int, data: bytes) -> bytes:
    """One member: thirteen eight-digit fields, the name and the data, both padded to four bytes."""
    encoded = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4)
