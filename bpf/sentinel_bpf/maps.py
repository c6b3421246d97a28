"""BPF maps as typed tables: records in, records out, and mmapped arrays that are read without a system call."""

import ctypes
import errno
import functools
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sentinel_api.errors import Invalid, Transient, Unsupported

from . import libbpf
from .layout import Dtype

ARRAY: Final = 2  # enum bpf_map_type, part of the kernel's frozen ABI, like the flag below
_PER_CPU: Final = frozenset({5, 6, 10, 21})  # hash, array, LRU hash, cgroup storage
_MMAPABLE: Final = 1 << 10
_BATCH: Final = 8192
_NO_BATCH: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, libbpf.ENOTSUPP})


@dataclass(frozen=True, slots=True)
class Shape:
    """What must be equal for one map to stand in for another."""

    kind: int
    key_bytes: int
    value_bytes: int
    max_entries: int
    flags: int

    @classmethod
    def of(cls, descriptor: int) -> "Shape":
        told = libbpf.info(libbpf.MapInfo, descriptor)
        return cls(told.type, told.key_size, told.value_size, told.max_entries, told.map_flags)

    def __str__(self) -> str:
        return (
            f"type {self.kind}, {self.key_bytes}-byte keys, {self.value_bytes}-byte values, "
            f"{self.max_entries} entries, flags {self.flags:#x}"
        )


@functools.cache
def cpus() -> int:
    """Possible CPUs: how many values a per-CPU entry has, whether those CPUs are there or not."""
    return int(libbpf.lib().libbpf_num_possible_cpus())


def record(dtype: Dtype, value: Any = None, fields: Mapping[str, Any] | None = None) -> NDArray[Any]:
    """One zeroed record, filled from a number, record, raw bytes, a tuple (padding left out), or by field name."""
    if isinstance(value, bytes):
        return np.frombuffer(value, dtype, count=1).copy().reshape(())
    made = np.zeros((), dtype)
    if isinstance(value, tuple) and dtype.names is not None:
        value = dict(zip((name for name in dtype.names if not name.startswith("_")), value, strict=True))
    if isinstance(value, Mapping):
        fields = {**value, **(fields or {})}
    elif value is not None:
        made[...] = value
    for name, content in (fields or {}).items():
        made[name] = content
    return made


def _raw(dtype: Dtype, value: Any, fields: Mapping[str, Any] | None = None) -> bytes:
    """A record as the kernel takes it; what is one already is not taken apart again."""
    if not fields and isinstance(value, np.generic | np.ndarray) and value.dtype == dtype and value.size == 1:
        return value.tobytes()
    return record(dtype, value, fields).tobytes()


class Map:
    """One map of a loaded object, or one that was found by its pin. Alive as long as the one it came from."""

    def __init__(self, name: str, descriptor: int, key: Dtype, value: Dtype) -> None:
        self.name = name
        self.descriptor = descriptor
        self.shape = Shape.of(descriptor)
        self.key = key
        self.value = value
        self._per_cpu = self.shape.kind in _PER_CPU
        self._stride = _up(self.shape.value_bytes, 8)
        self._entry_bytes = self._stride * cpus() if self._per_cpu else self.shape.value_bytes

    def get(self, key: Any) -> Any:
        """The value, or None; of a per-CPU map one value for each possible CPU."""
        found = ctypes.create_string_buffer(self._entry_bytes)
        try:
            libbpf.lib().bpf_map_lookup_elem(self.descriptor, _raw(self.key, key), found)
        except OSError as failed:
            if failed.errno == errno.ENOENT:
                return None
            raise
        return self._values(found, 1)[0]

    def total(self, key: Any) -> Any:
        """A per-CPU value summed over the CPUs, field by field; zeros where there is no entry."""
        found = self.get(key)
        summed = np.zeros((), self.value)
        if found is None:
            return summed[()]
        if self.value.names is None:
            return found.sum(axis=0)
        for name in self.value.names:
            summed[name] = found[name].sum(axis=0)
        return summed[()]

    def put(self, key: Any, value: Any = None, **fields: Any) -> None:
        """Write one entry whole; what is not named is zero. A per-CPU map gets the same value on every CPU."""
        written = _raw(self.value, value, fields)
        if self._per_cpu:
            written = written.ljust(self._stride, b"\0") * cpus()
        try:
            libbpf.lib().bpf_map_update_elem(self.descriptor, _raw(self.key, key), written, 0)
        except OSError as failed:
            raise self._refused(failed) from failed

    def put_many(self, keys: Any, values: Any) -> None:
        """Write many entries with one system call where the kernel can."""
        places, written = np.ascontiguousarray(keys, self.key), np.ascontiguousarray(values, self.value)
        if len(places) != len(written):
            raise Invalid(f"{self.name}: {len(places)} keys for {len(written)} values; give one value for each key.")
        count = ctypes.c_uint32(len(places))
        try:
            if self._per_cpu:
                raise libbpf.os_error(errno.EOPNOTSUPP)
            libbpf.lib().bpf_map_update_batch(
                self.descriptor, places.ctypes.data, written.ctypes.data, ctypes.byref(count), None
            )
        except OSError as failed:
            if failed.errno not in _NO_BATCH:
                raise self._refused(failed) from failed
            for place, value in zip(places, written, strict=True):
                self.put(place, value)

    def delete(self, key: Any) -> bool:
        """Whether there was such an entry."""
        try:
            libbpf.lib().bpf_map_delete_elem(self.descriptor, _raw(self.key, key))
        except OSError as failed:
            if failed.errno == errno.ENOENT:
                return False
            raise
        return True

    def keys(self) -> Iterator[Any]:
        """One by one, two system calls each; a deletion meanwhile may start the walk again."""
        at = None
        while True:
            found = np.zeros((), self.key)
            try:
                libbpf.lib().bpf_map_get_next_key(
                    self.descriptor, None if at is None else at.ctypes.data, found.ctypes.data
                )
            except OSError as failed:
                if failed.errno == errno.ENOENT:
                    return
                raise
            yield found[()]
            at = found

    def dump(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """All keys and their values, in batches; not one instant: entries may change between two batches."""
        try:
            batches = list(self.batches())
        except OSError as failed:
            if failed.errno not in _NO_BATCH:
                raise
            return self._one_by_one()
        keys = np.concatenate([keys for keys, _ in batches])
        return keys, np.concatenate([values for _, values in batches])

    def batches(self, size: int = _BATCH) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """The same a batch at a time, for who would rather read slowly. OSError where the kernel has no batches."""
        size = min(size, self.shape.max_entries)
        token = ctypes.create_string_buffer(max(self.shape.key_bytes, 8))
        resume = None
        while True:
            keys = np.empty(size, self.key)
            values = self._room(size)
            count = ctypes.c_uint32(size)
            ended = False
            try:
                libbpf.lib().bpf_map_lookup_batch(
                    self.descriptor, resume, token, keys.ctypes.data, values.ctypes.data, ctypes.byref(count), None
                )
            except OSError as failed:
                if failed.errno == errno.ENOSPC:  # one hash bucket holds more than a batch does
                    size *= 2
                    continue
                if failed.errno != errno.ENOENT:
                    raise
                ended = True
            yield keys[: count.value], values[: count.value]
            if ended:
                return
            resume = token

    def _one_by_one(self) -> tuple[NDArray[Any], NDArray[Any]]:
        found = [(key, value) for key in self.keys() if (value := self.get(key)) is not None]
        keys, values = np.zeros(len(found), self.key), self._room(len(found))
        for index, (key, value) in enumerate(found):
            keys[index], values[index] = key, value
        return keys, values

    def view(self, *, writable: bool = False) -> NDArray[Any]:
        """The array itself, mapped: what the kernel writes is seen at once. It outlives this Map and its object."""
        if self.shape.kind != ARRAY or not self.shape.flags & _MMAPABLE:
            raise Invalid(f"{self.name} cannot be mapped; declare it as an ARRAY with BPF_F_MMAPABLE.")
        length = _up(self._stride * self.shape.max_entries, mmap.PAGESIZE)
        rights = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        mapped = mmap.mmap(self.descriptor, length, mmap.MAP_SHARED, rights)
        return np.ndarray((self.shape.max_entries,), self.value, mapped, strides=(self._stride,))

    def _room(self, entries: int) -> NDArray[Any]:
        return self._values(bytearray(entries * self._entry_bytes), entries)

    def _values(self, raw: Any, entries: int) -> NDArray[Any]:
        """What the kernel writes: of a per-CPU map a row for each entry, its CPUs at eight-byte multiples."""
        if not self._per_cpu:
            return np.frombuffer(raw, self.value, entries)
        return np.ndarray((entries, cpus()), self.value, raw, strides=(self._entry_bytes, self._stride))

    def _refused(self, failed: OSError) -> Exception:
        if failed.errno in (errno.E2BIG, errno.ENOSPC):
            return Invalid(f"{self.name} is full ({self.shape.max_entries} entries); load it with more.")
        if failed.errno in (errno.EAGAIN, errno.EBUSY, errno.ENOMEM):
            return Transient(f"{self.name} could not be written just now ({os.strerror(failed.errno)}); try again.")
        if failed.errno == errno.EPERM:
            return Unsupported(f"{self.name} may not be written: it is frozen, or CAP_BPF is missing.")
        return failed


def snapshot(view: NDArray[Any]) -> NDArray[Any]:
    """A copy of a view at the speed of memory: numpy copies records field by field, and plain bytes in one go."""
    if not view.flags.c_contiguous:
        return view.copy()
    return view.view(np.uint8).copy().view(view.dtype)


def _up(size: int, to: int) -> int:
    return (size + to - 1) // to * to
