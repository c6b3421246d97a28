"""One program on one frame without an interface (BPF_PROG_TEST_RUN): bytes and context in, verdict and bytes out."""

import ctypes
import errno
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from sentinel_api.errors import Invalid, Unsupported

from . import layout, libbpf
from .maps import record
from .object import Program

_LIVE_FRAMES: Final = 1 << 1  # BPF_F_TEST_XDP_LIVE_FRAMES
_GROWTH: Final = 512  # a program may put headers in front, or make the frame longer


@dataclass(frozen=True, slots=True)
class Run:
    action: int
    data: bytes
    meta: bytes = b""  # what XDP left in front of the packet
    context: dict[str, Any] = field(default_factory=dict)  # of a tc program: priority, mark, cb…
    duration_ns: int = 0  # mean over the repeats, by the kernel's clock


def run(
    program: Program, frame: bytes, *, repeat: int = 1, meta: bytes = b"", interface_index: int = 0, queue: int = 0
) -> Run:
    """An XDP program on `frame`; `meta` lies before it as data_meta. Repeats see what the first one made of it."""
    context_type = layout.types(layout.KERNEL).struct("xdp_md")
    context = record(
        context_type,
        {
            "data": len(meta),
            "data_end": len(meta) + len(frame),
            "ingress_ifindex": interface_index,
            "rx_queue_index": queue,
        },
    )
    options, out, context_out = _call(program, meta + frame, context, repeat)
    told = np.frombuffer(context_out, context_type)[0]
    before = int(told["data"])
    return Run(options.retval, out[before:], out[:before], duration_ns=options.duration)


def run_tc(program: Program, frame: bytes, *, repeat: int = 1, **context_fields: Any) -> Run:
    """A tc program; `context_fields` are those of __sk_buff that the kernel lets a test set (priority, mark, cb…)."""
    context_type = layout.types(layout.KERNEL).struct("__sk_buff")
    options, out, context_out = _call(program, frame, record(context_type, None, context_fields), repeat)
    told = np.frombuffer(context_out, context_type)[0]
    fields = {name: told[name] for name in ("priority", "mark", "cb", "tc_classid", "tstamp", "wire_len")}
    action = ctypes.c_int32(options.retval).value  # TC_ACT_UNSPEC is -1
    return Run(action, out, context=fields, duration_ns=options.duration)


def send(program: Program, frame: bytes, count: int, *, interface_index: int, batch: int = 64) -> None:
    """Live frames: `count` times `frame` as if received by `interface_index`; verdicts are carried out for real."""
    context = record(
        layout.types(layout.KERNEL).struct("xdp_md"), {"data_end": len(frame), "ingress_ifindex": interface_index}
    )
    options = libbpf.sized(
        libbpf.TestRunOptions,
        data_size_in=len(frame),
        ctx_in=context.ctypes.data,
        ctx_size_in=context.nbytes,
        repeat=count,
        flags=_LIVE_FRAMES,
        batch_size=batch,
    )
    given = ctypes.create_string_buffer(frame, len(frame))
    options.data_in = ctypes.addressof(given)
    _asked(program, options)


def _call(program: Program, data: bytes, context: Any, repeat: int) -> tuple[Any, bytes, Any]:
    # Arrays of numpy: ctypes makes a type for each length, which costs more than the run.
    given, out = np.frombuffer(data or bytes(1), np.uint8), np.empty(len(data) + _GROWTH, np.uint8)
    context_out = np.empty(context.nbytes, np.uint8)
    options = libbpf.sized(
        libbpf.TestRunOptions,
        data_in=given.ctypes.data,
        data_size_in=len(data),
        data_out=out.ctypes.data,
        data_size_out=len(out),
        ctx_in=context.ctypes.data,
        ctx_size_in=context.nbytes,
        ctx_out=context_out.ctypes.data,
        ctx_size_out=context.nbytes,
        repeat=repeat,
    )
    _asked(program, options)
    return options, out[: options.data_size_out].tobytes(), context_out


def _asked(program: Program, options: Any) -> None:
    try:
        libbpf.lib().bpf_prog_test_run_opts(program.descriptor, ctypes.byref(options))
    except OSError as failed:
        if failed.errno in (errno.EINVAL, errno.ENODEV):
            raise Invalid(
                f"{program.name} cannot be tried on this frame: at least 14 bytes, metadata in steps of 4, "
                "an interface index that exists, no context field that the kernel keeps to itself."
            ) from failed
        if failed.errno in (errno.EOPNOTSUPP, libbpf.ENOTSUPP, errno.EPERM):
            raise Unsupported(f"{program.name} cannot be tried here ({failed.strerror}).") from failed
        raise
