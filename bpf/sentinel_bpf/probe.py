"""What this kernel and these rights allow, asked once: features, what is missing in a sentence each, and the tier."""

import functools
import os
import platform
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from sentinel_api.errors import SentinelError

from . import layout, libbpf

BPFFS: Final = Path("/run/sentinel/bpf")
Tier = Literal["A", "B", "C"]

_XDP_PROGRAM: Final = 6  # enum bpf_prog_type, part of the kernel's frozen ABI
_CAPABILITIES: Final = {"NET_ADMIN": 12, "SYS_ADMIN": 21, "SYS_RESOURCE": 24, "PERFMON": 38, "BPF": 39}
_RIGHTS: Final = ("BPF", "NET_ADMIN", "PERFMON")
# A structure that only this part of the kernel defines, and the module that brings it where it is not built in.
_TRAFFIC_CONTROL: Final = {
    "htb": ("htb_sched", "sch_htb"),
    "tbf": ("tbf_sched_data", "sch_tbf"),
    "clsact": ("clsact_sched_data", "sch_ingress"),
    "cls_bpf": ("cls_bpf_prog", "cls_bpf"),
    "mirred": ("tcf_mirred", "act_mirred"),
    "ifb": ("ifb_dev_private", "ifb"),
    "fq": ("fq_sched_data", "sch_fq"),
    "fq_codel": ("fq_codel_sched_data", "sch_fq_codel"),
    "cake": ("cake_sched_data", "sch_cake"),
    "pie": ("pie_sched_data", "sch_pie"),
    "netem": ("netem_sched_data", "sch_netem"),
}
_TIER_B: Final = ("htb", "tbf", "clsact", "cls_bpf", "mirred", "ifb")


@dataclass(frozen=True, slots=True)
class Features:
    kernel: str
    version: tuple[int, int]
    architecture: str
    libbpf: str  # its version, or empty
    btf: bool
    jit: bool
    xdp: bool
    bpf_links: bool
    tcx: bool
    qdisc_bpf: bool
    traffic_control: frozenset[str]  # of _TRAFFIC_CONTROL; fifo and the root of clsact come with every kernel
    capabilities: frozenset[str]
    bpffs: bool  # mounted at BPFFS
    memlock_bytes: int | None  # None: unlimited; matters before 5.11 only

    def missing(self) -> tuple[str, ...]:
        """What the data plane lacks here, each in a sentence that says what to do."""
        lacking = [right for right in _RIGHTS if right not in self.capabilities]
        absent = [name for name in _TIER_B if name not in self.traffic_control]
        facts = (
            (not self.libbpf, "libbpf.so.1 is missing or older than 1.1; install it (apt-get install libbpf1)."),
            (
                not self.btf,
                "The kernel describes no types (/sys/kernel/btf/vmlinux); boot one with CONFIG_DEBUG_INFO_BTF.",
            ),
            (bool(lacking), f"The process lacks CAP_{', CAP_'.join(lacking)}; run as root or grant them."),
            (
                not lacking and not self.xdp,
                "The kernel loads no XDP program; boot one with CONFIG_BPF_SYSCALL and XDP.",
            ),
            (not self.jit, "The BPF compiler is off; set net.core.bpf_jit_enable=1."),
            (not self.bpf_links, f"Kernel {self.kernel} has no BPF links for XDP; 5.9 or newer is needed."),
            (not self.tcx, f"Kernel {self.kernel} has no tcx (6.6 or newer has); cls_bpf is used instead."),
            (bool(absent), f"The kernel lacks {', '.join(absent)}; load the modules or boot a kernel that has them."),
            (
                not self.bpffs and "SYS_ADMIN" not in self.capabilities,
                f"No bpffs at {BPFFS}; mount one (mount -t bpf bpf {BPFFS}).",
            ),
            (
                self.version < (5, 11) and self.memlock_bytes is not None,
                "The limit of locked memory counts for BPF maps here; lift it (ulimit -l unlimited).",
            ),
        )
        return tuple(sentence for holds, sentence in facts if holds)


class Choice(NamedTuple):
    tier: Tier
    reason: str


def tier(features: Features, *, qdisc_built: bool = True) -> Choice:
    """The best tier that kernel and rights allow; interfaces with foreign programs may still lower it.

    `qdisc_built`: whether qdisc.bpf.o came out of the build (it needs a newer clang than the rest).
    """
    blocked = _observe_only(features)
    if blocked:
        return Choice("C", blocked)
    if features.qdisc_bpf and qdisc_built:
        return Choice("A", f"Kernel {features.kernel} runs queueing disciplines written in BPF.")
    if features.qdisc_bpf:
        return Choice("B", "The kernel could run our BPF queue, but qdisc.bpf.o was not built (clang 19 is needed).")
    return Choice("B", f"Kernel {features.kernel} has no BPF queueing disciplines (CONFIG_NET_SCH_BPF, 6.16 or newer).")


def _observe_only(features: Features) -> str:
    lacking = [right for right in _RIGHTS if right not in features.capabilities]
    absent = [name for name in _TIER_B if name not in features.traffic_control]
    if lacking:
        return f"CAP_{', CAP_'.join(lacking)} missing: nothing can be enforced."
    if not (features.libbpf and features.xdp and features.bpf_links):
        return "XDP programs cannot be loaded and linked here."
    if not features.bpffs and "SYS_ADMIN" not in features.capabilities:
        return f"No bpffs at {BPFFS}, and no right to mount one."
    if absent and not features.qdisc_bpf:
        return f"The kernel lacks {', '.join(absent)}."
    return ""


@functools.cache
def probe() -> Features:
    """Asked once a process; nothing is changed, attached or left behind."""
    release = os.uname().release
    version = _version(release)
    known = _kernel_types()
    return Features(
        kernel=release,
        version=version,
        architecture=platform.machine(),
        libbpf=_libbpf_version(),
        btf=known is not None,
        jit=_jit(),
        xdp=_loads_xdp(),
        bpf_links=_attach_type(known, "BPF_XDP", version >= (5, 9)),
        tcx=_attach_type(known, "BPF_TCX_INGRESS", version >= (6, 6)),
        qdisc_bpf=known is not None and known.has(layout.STRUCT, "bpf_struct_ops_Qdisc_ops"),
        traffic_control=_traffic_control(known, release),
        capabilities=_capabilities(Path("/proc/self/status").read_text()),
        bpffs=is_bpffs(BPFFS),
        memlock_bytes=_memlock(),
    )


def is_bpffs(path: Path) -> bool:
    """Whether a BPF file system is mounted exactly there."""
    return _mounted(Path("/proc/self/mountinfo").read_text(), path)


def _mounted(mountinfo: str, path: Path) -> bool:
    found = ""
    for line in mountinfo.splitlines():
        where, _, what = line.partition(" - ")
        if where.split()[4] == str(path):
            found = what.split()[0]  # later lines lie on top
    return found == "bpf"


def _version(release: str) -> tuple[int, int]:
    major, minor = re.findall(r"\d+", release)[:2]
    return int(major), int(minor)


def _kernel_types() -> layout.Types | None:
    try:
        return layout.types(layout.KERNEL)
    except SentinelError:
        return None


def _libbpf_version() -> str:
    try:
        library = libbpf.lib()
    except SentinelError:
        return ""
    return f"{library.libbpf_major_version()}.{library.libbpf_minor_version()}"


def _loads_xdp() -> bool:
    try:
        return bool(libbpf.lib().libbpf_probe_bpf_prog_type(_XDP_PROGRAM, None) == 1)
    except SentinelError:
        return False


def _attach_type(known: layout.Types | None, name: str, by_version: bool) -> bool:
    return by_version if known is None else name in known.enum("bpf_attach_type")


def _traffic_control(known: layout.Types | None, release: str) -> frozenset[str]:
    modules = Path("/lib/modules") / release
    listed = "".join(
        file.read_text() for file in (modules / "modules.builtin", modules / "modules.dep") if file.exists()
    )
    return frozenset(
        name
        for name, (structure, module) in _TRAFFIC_CONTROL.items()
        if (known is not None and known.has(layout.STRUCT, structure))
        or Path(f"/sys/kernel/btf/{module}").exists()
        or f"/{module}.ko" in listed
    )


def _jit() -> bool:
    """The switch is absent or unreadable where the compiler cannot be switched off."""
    try:
        return Path("/proc/sys/net/core/bpf_jit_enable").read_text().strip() != "0"
    except (FileNotFoundError, PermissionError):
        return True


def _capabilities(status: str) -> frozenset[str]:
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return frozenset(name for name, bit in _CAPABILITIES.items() if effective >> bit & 1)


def lacking_rights() -> tuple[str, ...]:
    """Of those that the data plane needs, what this process does not have now."""
    held = _capabilities(Path("/proc/self/status").read_text())
    return tuple(right for right in _RIGHTS if right not in held)


def _memlock() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return None if soft == resource.RLIM_INFINITY else soft
