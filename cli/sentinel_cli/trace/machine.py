"""What this machine has for tracing, and one sentence on how to get what it lacks."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sentinel_api.errors import Unsupported
from sentinel_bpf import layout
from sentinel_cli.trace.formats import parsed
from sentinel_cli.trace.programs import EVENTS, Kernel

if TYPE_CHECKING:
    from types import ModuleType

    from sentinel_cli.trace.formats import Format

TRACEFS: Final = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
DEBIAN: Final = Path("/usr/lib/python3/dist-packages/bcc/__init__.py")
OBJECTS: Final = (Path("/usr/lib/sentinel/bpf/agent.bpf.o"), Path(__file__).parents[3] / "bpf/build/agent.bpf.o")
MEMBERS: Final = ("cb", "dev", "head", "network_header", "priority")


def kernel(question: str) -> Kernel:
    """Raises Unsupported where this kernel or this user cannot answer."""
    if os.geteuid() != 0:
        raise Unsupported("only root may look into the kernel: run the same command with sudo")
    root = _tracefs()
    return Kernel({event: _format(root, event) for event in EVENTS[question]}, _offsets(), _queue())


def _tracefs() -> Path:
    for root in TRACEFS:
        if (root / "events").is_dir():
            return root
    raise Unsupported("tracefs is not mounted: mount -t tracefs none /sys/kernel/tracing")


def _format(root: Path, event: str) -> Format:
    path = root / "events" / event.replace(":", "/") / "format"
    try:
        return parsed(event, path.read_text())
    except OSError as error:
        raise Unsupported(f"this kernel has no tracepoint {event}: it cannot tell that") from error


def _offsets() -> dict[str, int]:
    if not layout.KERNEL.exists():
        raise Unsupported("this kernel has no BTF (CONFIG_DEBUG_INFO_BTF): nobody can say where its fields lie")
    types = layout.types(layout.KERNEL)
    found = {name: types.offset("sk_buff", name) for name in MEMBERS}
    return found | {
        "ifindex": types.offset("net_device", "ifindex"),
        "nd_net": types.offset("net_device", "nd_net"),
        "ns": types.offset("net", "ns"),
        "inum": types.offset("ns_common", "inum"),
        "cb_data": types.offset("qdisc_skb_cb", "data"),
    }


def _queue() -> dict[str, int]:
    """How our programs mark packets; where none are installed nothing has a class."""
    built = next((path for path in OBJECTS if path.exists()), None)
    if built is None:
        return {"magic": 0xFFFFFFFF, "major": 0x10000, "minor": 0}
    types = layout.types(built)
    queue = types.enum("sn_queue_const")
    return {"magic": types.enum("sn_wire")["SN_META_MAGIC"], "major": queue["SN_QUEUE_MAJOR"],
            "minor": queue["SN_QUEUE_MINOR"]}  # fmt: skip


def bcc() -> ModuleType:
    """The distribution's binding: it is plain Python over a library, and PyPI's package of that name is another thing.

    Loaded by its path, for the packages beside it are another Python's.
    """
    if "bcc" in sys.modules:
        return sys.modules["bcc"]
    spec = importlib.util.find_spec("bcc") or (
        importlib.util.spec_from_file_location("bcc", DEBIAN, submodule_search_locations=[str(DEBIAN.parent)])
        if DEBIAN.exists()
        else None
    )
    if spec is None or spec.loader is None:
        raise Unsupported("bcc is missing: apt-get install python3-bpfcc (the package bcc of PyPI is something else)")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        del sys.modules["bcc"]
        raise Unsupported(f"bcc does not load ({error}): apt-get install --reinstall python3-bpfcc") from error
    if not hasattr(module, "BPF"):
        del sys.modules["bcc"]
        raise Unsupported("the Python package bcc is not the one of the BPF compiler: apt-get install python3-bpfcc")
    return module


def headers() -> None:
    """bcc asks for some even where, as here, nothing of them is used but the names of plain types."""
    release = os.uname().release
    given = os.environ.get("BCC_KERNEL_SOURCE", "")
    if given:
        if not (Path(given) / "include/linux/kconfig.h").exists():
            raise Unsupported(
                f"BCC_KERNEL_SOURCE is {given!r}, which holds no kernel headers (include/linux/kconfig.h)"
            )
        return
    if not (Path("/lib/modules") / release / "build").exists() and not Path("/sys/kernel/kheaders.tar.xz").exists():
        raise Unsupported(
            f"kernel headers are missing, and bcc compiles with them: apt-get install linux-headers-{release}, or, "
            "where there is no such package, unpack those of a near version and name their folder by BCC_KERNEL_SOURCE"
        )


def compiled(text: str) -> Any:
    """A running `bcc.BPF`. What the compiler says goes to its standard error, which is kept for the sentence."""
    module = bcc()
    headers()
    with tempfile.TemporaryFile() as said:
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            return module.BPF(text=text)
        except Exception as error:  # bcc raises nothing narrower
            said.seek(0)
            lines = said.read().decode(errors="replace").splitlines()
            first = next((line for line in lines if "error" in line), lines[-1] if lines else str(error))
            raise Unsupported(f"bcc cannot compile or load this here: {first.strip()}") from error
        finally:
            os.dup2(kept, 2)
            os.close(kept)
