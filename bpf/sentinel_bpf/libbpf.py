"""The door to libbpf.so.1 by ctypes: prototypes, errors as OSError, and libbpf's own words kept for whoever asks."""

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Iterator
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, Final

from sentinel_api.errors import Unsupported

SONAME: Final = "libbpf.so.1"
OLDEST: Final = (1, 1)
ENOTSUPP: Final = 524  # the kernel's own number for "not supported", which errno does not know


class BtfType(ctypes.Structure):
    _fields_ = (("name_off", c_uint32), ("info", c_uint32), ("size_or_type", c_uint32))


class TestRunOptions(ctypes.Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


class LinkCreateOptions(ctypes.Structure):
    """Its first fields only: libbpf takes what lies beyond `sz` for zero."""

    _fields_ = (("sz", c_size_t), ("flags", c_uint32))


class XdpQueryOptions(ctypes.Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("prog_id", c_uint32),
        ("drv_prog_id", c_uint32),
        ("hw_prog_id", c_uint32),
        ("skb_prog_id", c_uint32),
        ("attach_mode", ctypes.c_uint8),
    )


class MapInfo(ctypes.Structure):
    """The kernel's `struct bpf_map_info`, as far as it is used; the kernel fills what fits. So for those below."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
    )


class LinkInfo(ctypes.Structure):
    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("prog_id", c_uint32),
        ("_pad", c_uint32),
        ("ifindex", c_uint32),  # of XDP and tcx links; zero once the interface is gone
        ("attach_type", c_uint32),  # of tcx links
        ("_rest", c_uint64 * 2),
    )


class ProgInfo(ctypes.Structure):
    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("_tag_to_map_ids", ctypes.c_uint8 * 56),
        ("name", ctypes.c_char * 16),
        ("_ifindex_to_line_info", ctypes.c_uint8 * 112),
        ("run_time_ns", c_uint64),
        ("run_cnt", c_uint64),
        ("recursion_misses", c_uint64),
        ("verified_insns", c_uint32),
        ("_rest", c_uint32 * 3),
    )


# What a result means: OK (negative is an error), OBJECT (NULL is one), or a plain value.
_OK, _OBJECT = "ok", "object"
_PROTOTYPES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "bpf_link_create": (_OK, (c_int, c_int, c_int, c_void_p)),
    "bpf_link_detach": (_OK, (c_int,)),
    "bpf_link_update": (_OK, (c_int, c_int, c_void_p)),
    "bpf_map__attach_struct_ops": (_OBJECT, (c_void_p,)),
    "bpf_map__btf_key_type_id": (c_uint32, (c_void_p,)),
    "bpf_map__btf_value_type_id": (c_uint32, (c_void_p,)),
    "bpf_map__fd": (_OK, (c_void_p,)),
    "bpf_map__initial_value": (c_void_p, (c_void_p, POINTER(c_size_t))),
    "bpf_map__is_internal": (c_bool, (c_void_p,)),
    "bpf_map__key_size": (c_uint32, (c_void_p,)),
    "bpf_map__map_flags": (c_uint32, (c_void_p,)),
    "bpf_map__max_entries": (c_uint32, (c_void_p,)),
    "bpf_map__name": (c_char_p, (c_void_p,)),
    "bpf_map__reuse_fd": (_OK, (c_void_p, c_int)),
    "bpf_map__set_max_entries": (_OK, (c_void_p, c_uint32)),
    "bpf_map__type": (c_uint32, (c_void_p,)),
    "bpf_map__value_size": (c_uint32, (c_void_p,)),
    "bpf_map_delete_elem": (_OK, (c_int, c_void_p)),
    "bpf_map_get_next_key": (_OK, (c_int, c_void_p, c_void_p)),
    "bpf_map_lookup_batch": (_OK, (c_int, c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_uint32), c_void_p)),
    "bpf_map_lookup_elem": (_OK, (c_int, c_void_p, c_void_p)),
    "bpf_map_update_batch": (_OK, (c_int, c_void_p, c_void_p, POINTER(c_uint32), c_void_p)),
    "bpf_map_update_elem": (_OK, (c_int, c_void_p, c_void_p, c_uint64)),
    "bpf_obj_get": (_OK, (c_char_p,)),
    "bpf_obj_get_info_by_fd": (_OK, (c_int, c_void_p, POINTER(c_uint32))),
    "bpf_obj_pin": (_OK, (c_int, c_char_p)),
    "bpf_object__close": (None, (c_void_p,)),
    "bpf_object__find_map_by_name": (_OBJECT, (c_void_p, c_char_p)),
    "bpf_object__load": (_OK, (c_void_p,)),
    "bpf_object__next_map": (c_void_p, (c_void_p, c_void_p)),
    "bpf_object__next_program": (c_void_p, (c_void_p, c_void_p)),
    "bpf_object__open": (_OBJECT, (c_char_p,)),
    "bpf_prog_get_fd_by_id": (_OK, (c_uint32,)),
    "bpf_raw_tracepoint_open": (_OK, (c_char_p, c_int)),
    "bpf_prog_test_run_opts": (_OK, (c_int, c_void_p)),
    "bpf_program__fd": (_OK, (c_void_p,)),
    "bpf_program__name": (c_char_p, (c_void_p,)),
    "bpf_program__section_name": (c_char_p, (c_void_p,)),
    "bpf_program__set_autoload": (_OK, (c_void_p, c_bool)),
    "bpf_program__type": (c_uint32, (c_void_p,)),
    "bpf_xdp_query": (_OK, (c_int, c_int, c_void_p)),
    "btf__find_by_name_kind": (c_int, (c_void_p, c_char_p, c_uint32)),
    "btf__free": (None, (c_void_p,)),
    "btf__name_by_offset": (c_char_p, (c_void_p, c_uint32)),
    "btf__parse": (_OBJECT, (c_char_p, c_void_p)),
    "btf__type_by_id": (c_void_p, (c_void_p, c_uint32)),
    "libbpf_major_version": (c_uint32, ()),
    "libbpf_minor_version": (c_uint32, ()),
    "libbpf_num_possible_cpus": (_OK, ()),
    "libbpf_probe_bpf_prog_type": (c_int, (c_uint32, c_void_p)),
    "libbpf_set_print": (c_void_p, (c_void_p,)),
}


def os_error(code: int) -> OSError:
    return OSError(code, "not supported by this kernel" if code == ENOTSUPP else os.strerror(code))


def _negative_raises(result: int, _function: Any, _arguments: Any) -> int:
    if result < 0:
        raise os_error(-result)
    return result


def _null_raises(result: int | None, _function: Any, _arguments: Any) -> int:
    if not result:
        raise os_error(ctypes.get_errno())
    return result


@functools.cache
def lib() -> ctypes.CDLL:
    """The library with its prototypes; loaded at the first call, so that a machine without it can still be told so."""
    try:
        library = ctypes.CDLL(SONAME, use_errno=True)
    except OSError as missing:
        raise Unsupported(f"{SONAME} cannot be loaded; install it (apt-get install libbpf1).") from missing
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.argtypes = arguments
        if result is _OK:
            function.restype, function.errcheck = c_int, _negative_raises
        elif result is _OBJECT:
            function.restype, function.errcheck = c_void_p, _null_raises
        else:
            function.restype = result
    version = library.libbpf_major_version(), library.libbpf_minor_version()
    if version < OLDEST:
        raise Unsupported(f"{SONAME} is version {version[0]}.{version[1]}; install {OLDEST[0]}.{OLDEST[1]} or newer.")
    library.libbpf_set_print(_PRINT)
    return library


_words = threading.local()
_libc = ctypes.CDLL(None)
_libc.vasprintf.argtypes = (POINTER(c_void_p), c_char_p, c_void_p)
_libc.free.argtypes = (c_void_p,)


def _keep(level: int, form: bytes, arguments: int) -> int:
    """libbpf prints to stderr unless told otherwise; its warnings carry the verifier's log, so they are kept."""
    kept = getattr(_words, "kept", None)
    if kept is None or level > 0:
        return 0
    text = c_void_p()
    length: int = _libc.vasprintf(ctypes.byref(text), form, arguments)
    if length >= 0 and text.value is not None:
        kept.append(ctypes.string_at(text.value, length).decode(errors="replace"))
        _libc.free(text)
    return length


_PRINT: Final = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)(_keep)  # C keeps a pointer to it: it must live on


@contextlib.contextmanager
def words() -> Iterator[list[str]]:
    """What libbpf warns of in this thread while the block runs."""
    outer, _words.kept = getattr(_words, "kept", None), []
    try:
        yield _words.kept
    finally:
        _words.kept = outer


def sized(options: Any, **fields: Any) -> Any:
    """An options structure of libbpf, with the size that tells it how much its caller knows."""
    return options(sz=ctypes.sizeof(options), **fields)


def info(kind: Any, descriptor: int) -> Any:
    """What the kernel says of an open map, program or link."""
    answer = kind()
    lib().bpf_obj_get_info_by_fd(descriptor, ctypes.byref(answer), ctypes.byref(c_uint32(ctypes.sizeof(kind))))
    return answer
