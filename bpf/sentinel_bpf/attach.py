"""Programs on interfaces, by pinned links: replaced in one step, found again after a restart, never over a stranger.

no pin, free hook      → create, pin
no pin, foreign there  → Unsupported, naming it
our pin, same device   → update in place: no packet sees an empty hook
our pin, dead link     → (the device went away) dropped, then as without a pin
no tcx (before 6.6)    → a cls_bpf filter does the same (classic.py)
"""

import ctypes
import errno
import os
import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from sentinel_api.errors import Invalid, SentinelError, Transient, Unsupported

from . import classic, libbpf, pins, preflight
from .filters import Side
from .object import Program

# Of the kernel's frozen ABI (linux/bpf.h, linux/if_link.h).
_XDP, _TCX_INGRESS, _TCX_EGRESS = 37, 46, 47
_FLAG_GENERIC, _FLAG_NATIVE = 1 << 1, 1 << 2
_FLAG_BEFORE = 1 << 3
_LINK_XDP, _LINK_TCX = 6, 11
_MODE_GENERIC: Final = 2


# What a driver answers that has no XDP, or none for this MTU, these offloads or this number of queues.
_DRIVER_CANNOT: Final = frozenset({errno.EOPNOTSUPP, libbpf.ENOTSUPP, errno.ERANGE, errno.EINVAL, errno.ENOSPC})


class Hook(Enum):
    XDP = "xdp"
    TCX_INGRESS = "tcx_ingress"
    TCX_EGRESS = "tcx_egress"


class Mode(Enum):
    NATIVE = "native"  # in the driver
    GENERIC = "generic"  # after the driver: slower, and each packet is copied
    TC = "tc"
    CLS_BPF = "cls_bpf"  # a filter instead of tcx


class Change(Enum):
    CREATED = "created"
    UPDATED = "updated"


_SIDE: Final = {Hook.TCX_INGRESS: Side.INGRESS, Hook.TCX_EGRESS: Side.EGRESS}
_ATTACH_TYPE: Final = {Hook.XDP: _XDP, Hook.TCX_INGRESS: _TCX_INGRESS, Hook.TCX_EGRESS: _TCX_EGRESS}


@dataclass(frozen=True, slots=True)
class Attached:
    """Held by its pin, or by clsact: it stays when this process ends, and goes with `detach`."""

    interface: str
    hook: Hook
    mode: Mode
    change: Change
    pin: Path
    notes: tuple[str, ...] = ()  # settings that are in XDP's way, a sentence each


@dataclass(frozen=True, slots=True)
class Occupant:
    """The XDP program that is on an interface, whoever put it there."""

    program_id: int
    name: str  # empty without the right to look (SYS_ADMIN)
    mode: Mode

    def __str__(self) -> str:
        return f"XDP program {self.name or 'of unknown name'} (id {self.program_id}, {self.mode.value})"


def attach(program: Program, interface: str, hook: Hook, pin: Path, *, allow_generic: bool = False) -> Attached:
    """Have `program` run at `hook` of `interface`, in place of our earlier one if there is one."""
    index = interface_index(interface)
    notes = preflight.sentences(program, preflight.settings(interface)) if hook is Hook.XDP else ()
    if _replace(program, interface, index, hook, pin):
        return Attached(interface, hook, _mode(index, hook), Change.UPDATED, pin, notes)
    if hook is Hook.XDP:
        link = _create_xdp(program, interface, index, notes, allow_generic=allow_generic)
    else:
        found = _create_tcx(program, interface, index, hook)
        if found is None:
            before = classic.attach(program, index, _SIDE[hook], pin)
            return Attached(interface, hook, Mode.CLS_BPF, Change.UPDATED if before else Change.CREATED, pin)
        link = found
    try:
        pins.put(link, pin)  # without the pin the link goes with its descriptor: nothing stays half attached
    finally:
        os.close(link)
    return Attached(interface, hook, _mode(index, hook), Change.CREATED, pin, notes)


def detach(pin: Path) -> bool:
    """Take our program off at once, also where another process still holds the link. Whether there was one."""
    link = pins.find(pin)
    if link is None:
        return classic.detach(pin)
    try:
        libbpf.lib().bpf_link_detach(link)
    except OSError as failed:
        if failed.errno not in (errno.ENOLINK, errno.EOPNOTSUPP):  # the device went before; the pin's end must do
            raise
    finally:
        os.close(link)
    pins.drop(pin)
    return True


def trace(program: Program) -> int:
    """Start an fentry, fexit or BTF tracepoint program; it runs until the descriptor is closed."""
    try:
        link: int = libbpf.lib().bpf_raw_tracepoint_open(None, program.descriptor)
    except OSError as failed:
        raise Unsupported(f"This kernel cannot trace with {program.name} ({failed.strerror}).") from failed
    return link


def first(program: Program, index: int, hook: Hook) -> int:
    """Have `program` run before all others at a tcx hook, until the descriptor is closed."""
    try:
        return _link(program, index, _ATTACH_TYPE[hook], _FLAG_BEFORE)
    except OSError as failed:
        raise Unsupported(f"This kernel does not put {program.name} before others ({failed.strerror}).") from failed


def occupant(interface: str) -> Occupant | None:
    """Whose XDP program is there. Reading needs no rights; the name of a stranger does."""
    told = libbpf.sized(libbpf.XdpQueryOptions)
    libbpf.lib().bpf_xdp_query(interface_index(interface), 0, ctypes.byref(told))
    program_id = told.prog_id or told.drv_prog_id or told.skb_prog_id or told.hw_prog_id
    if not program_id:
        return None
    return Occupant(program_id, _name(program_id), Mode.GENERIC if told.attach_mode == _MODE_GENERIC else Mode.NATIVE)


def ours(pin: Path) -> int | None:
    """The id of the program that our link runs, or None: tells a stranger from ourselves."""
    link = pins.find(pin)
    if link is None:
        return classic.ours(pin)
    try:
        return int(libbpf.info(libbpf.LinkInfo, link).prog_id)
    finally:
        os.close(link)


def interface_index(interface: str) -> int:
    """In the network namespace of this thread."""
    try:
        return socket.if_nametoindex(interface)
    except OSError as missing:
        raise Invalid(f"There is no interface {interface}; name one of `ip link`.") from missing


def _replace(program: Program, interface: str, index: int, hook: Hook, pin: Path) -> bool:
    """Whether our pinned link was alive there and now runs `program`; a dead pin is removed."""
    link = pins.find(pin)
    if link is None:
        return False
    try:
        told = libbpf.info(libbpf.LinkInfo, link)
        kind = _LINK_XDP if hook is Hook.XDP else _LINK_TCX
        if told.type != kind or (hook is not Hook.XDP and told.attach_type != _ATTACH_TYPE[hook]):
            raise Invalid(f"{pin} holds another kind of link; remove it or choose another path.")
        if told.ifindex == index:
            libbpf.lib().bpf_link_update(link, program.descriptor, None)
            return True
    except OSError as failed:
        raise Unsupported(f"The program on {interface} cannot be replaced ({failed.strerror}).") from failed
    finally:
        os.close(link)
    if told.ifindex != 0:
        raise Invalid(f"{pin} belongs to another interface (index {told.ifindex}); detach it or choose another path.")
    pins.drop(pin)
    return False


def _create_xdp(program: Program, interface: str, index: int, notes: tuple[str, ...], *, allow_generic: bool) -> int:
    try:
        return _link(program, index, _XDP, _FLAG_NATIVE)
    except OSError as failed:
        if failed.errno in _DRIVER_CANNOT and allow_generic:
            return _create_generic(program, interface, index)
        raise _refused(failed, interface, notes, allow_generic=allow_generic) from failed


def _create_generic(program: Program, interface: str, index: int) -> int:
    try:
        return _link(program, index, _XDP, _FLAG_GENERIC)
    except OSError as failed:
        raise _refused(failed, interface, allow_generic=True) from failed


def _create_tcx(program: Program, interface: str, index: int, hook: Hook) -> int | None:
    """None where the kernel has no tcx."""
    try:
        return _link(program, index, _ATTACH_TYPE[hook], 0)
    except OSError as failed:
        if failed.errno == errno.EINVAL:
            return None
        raise _refused(failed, interface, allow_generic=True) from failed


def _link(program: Program, index: int, attach_type: int, flags: int) -> int:
    options = libbpf.sized(libbpf.LinkCreateOptions, flags=flags)
    link: int = libbpf.lib().bpf_link_create(program.descriptor, index, attach_type, ctypes.byref(options))
    return link


def _refused(failed: OSError, interface: str, notes: tuple[str, ...] = (), *, allow_generic: bool) -> SentinelError:
    if failed.errno in (errno.EBUSY, errno.EEXIST):
        there = occupant(interface)
        if there is None:
            return Transient(f"{interface} was busy for a moment; try again.")
        return Unsupported(f"{interface} already has {there}, which is not ours and stays; remove it to let us attach.")
    if failed.errno in _DRIVER_CANNOT:
        if allow_generic:
            return Unsupported(f"{interface} takes no XDP program at all, or not with its settings (MTU, LRO, queues).")
        why = " ".join(notes) or f"{interface} has no XDP in its driver, or not for as many queues as it has now."
        return Unsupported(f"{why} Or allow the slower generic mode for it.")
    if failed.errno == errno.EPERM:
        return Unsupported(f"Nothing may be attached to {interface}; CAP_BPF and CAP_NET_ADMIN are needed.")
    return Unsupported(f"The driver of {interface} refuses the program ({os.strerror(failed.errno or 0)}).")


def _mode(index: int, hook: Hook) -> Mode:
    if hook is not Hook.XDP:
        return Mode.TC
    told = libbpf.sized(libbpf.XdpQueryOptions)
    libbpf.lib().bpf_xdp_query(index, 0, ctypes.byref(told))
    return Mode.GENERIC if told.attach_mode == _MODE_GENERIC else Mode.NATIVE


def _name(program_id: int) -> str:
    try:
        descriptor = libbpf.lib().bpf_prog_get_fd_by_id(program_id)
    except OSError:
        return ""
    try:
        return str(libbpf.info(libbpf.ProgInfo, descriptor).name.decode(errors="replace"))
    finally:
        os.close(descriptor)
