"""Where programs' maps and links outlive the process: folders on a bpffs, one for each object and ABI version."""

import contextlib
import ctypes
import errno
import os
from pathlib import Path

from sentinel_api.errors import Invalid, Transient, Unsupported

from . import libbpf, probe

_libc = ctypes.CDLL(None, use_errno=True)


def mount(path: Path = probe.BPFFS) -> None:
    """Make sure that a bpffs is mounted there. Needs SYS_ADMIN where it is not: in a pod the host does it."""
    if probe.is_bpffs(path):
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as failed:
        raise Unsupported(f"{path} cannot be made ({failed.strerror}); mount a bpffs there beforehand.") from failed
    if _libc.mount(b"bpf", str(path).encode(), b"bpf", 0, b"mode=0700") < 0:
        code = ctypes.get_errno()
        raise Unsupported(f"bpffs cannot be mounted at {path} ({os.strerror(code)}); have the host mount it.")


def folder(root: Path, object_name: str, abi: int) -> Path:
    """Another ABI version never meets the maps of this one. The bpffs keeps dots in names to itself."""
    return root / object_name.replace(".", "_") / f"v{abi}"


def link_path(where: Path, hook: str, interface: str) -> Path:
    """The pin of what is attached to `interface`; VLAN devices have dots in their names, and pins may not."""
    return where / f"link_{hook}_{interface.replace('%', '%25').replace('.', '%2e')}"


def put(descriptor: int, path: Path) -> None:
    """Pin, replacing in one step what may be there."""
    fresh = path.with_name(f"{path.name}~")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        libbpf.lib().bpf_obj_pin(descriptor, str(fresh).encode())
        fresh.rename(path)
    except OSError as failed:
        if failed.errno in (errno.EINVAL, errno.EPERM, errno.EACCES, errno.EROFS):
            raise Unsupported(f"{path} cannot be pinned; mount a bpffs at {probe.BPFFS} and let us write.") from failed
        raise


def find(path: Path) -> int | None:
    """A new descriptor of what is pinned there, or None. The caller closes it."""
    try:
        found: int = libbpf.lib().bpf_obj_get(str(path).encode())
    except OSError as failed:
        if failed.errno == errno.ENOENT:
            return None
        if failed.errno in (errno.EPERM, errno.EACCES):
            raise Unsupported(f"{path} may not be opened; CAP_BPF and the owner's rights are needed.") from failed
        if failed.errno == errno.EINVAL:
            raise Invalid(f"{path} is no pinned BPF object; remove it.") from failed
        raise Transient(f"{path} cannot be opened just now ({failed.strerror}); try again.") from failed
    return found


def drop_empty(folder: Path, up_to: Path) -> None:
    """Remove the folder and those above it that are empty now, at most `up_to` itself."""
    for each in (folder, *folder.parents):
        if not each.is_relative_to(up_to):
            return
        with contextlib.suppress(OSError):  # not empty, or gone already
            each.rmdir()


def drop(path: Path) -> None:
    """Unpin, and leave no empty folder of ours behind."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: others are still pinned there
        path.parent.rmdir()
