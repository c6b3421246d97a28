"""How structures of the kernel programs lie in memory, from BTF: C says it once, Python reads it as numpy records."""

import ctypes
import functools
import struct
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from sentinel_api.errors import Invalid

from . import libbpf

KERNEL: Final = Path("/sys/kernel/btf/vmlinux")

INT, PTR, ARRAY, STRUCT, UNION, ENUM, TYPEDEF, VAR, DATASEC, FLOAT, ENUM64 = 1, 2, 3, 4, 5, 6, 8, 14, 15, 16, 19
_TRANSPARENT: Final = frozenset({TYPEDEF, 9, 10, 11, 18})  # with volatile, const, restrict, type tag
_NETWORK_ORDER: Final = {"__be16": ">u2", "__be32": ">u4", "__be64": ">u8"}
_HEADER: Final = ctypes.sizeof(libbpf.BtfType)

Dtype = np.dtype[Any]


class Variable(NamedTuple):
    offset: int
    dtype: Dtype


class _Type(NamedTuple):
    name: str
    kind: int
    length: int
    bitfields: bool
    size: int  # or the type referred to
    address: int


class Types:
    """One BTF, freed with this."""

    def __init__(self, btf: int, source: str) -> None:
        self._btf = btf
        self._source = source
        self._dtypes: dict[int, Dtype] = {}
        self._ids: dict[tuple[int, str], int] = {}  # the kernel's own BTF has a hundred thousand names to go through
        weakref.finalize(self, libbpf.lib().btf__free, btf)

    def has(self, kind: int, name: str) -> bool:
        return bool(libbpf.lib().btf__find_by_name_kind(self._btf, name.encode(), kind) > 0)

    def struct(self, name: str) -> Dtype:
        return self.dtype(self._find(STRUCT, name))

    def enum(self, name: str) -> Mapping[str, int]:
        return dict(self._enumerators(self._read(self._find(ENUM, name))))

    def offset(self, name: str, member: str) -> int:
        """Of a member of a struct that no record can hold, as one with bit fields; through members without a name."""
        found = self._read(self._find(STRUCT, name))
        at = next((at for each, at in self._places(found, 0) if each == member), None)
        if at is None:
            raise Invalid(f"{self._source}: struct {name} has no member {member}.")
        return at

    def _places(self, found: _Type, base: int) -> Iterator[tuple[str, int]]:
        for name_off, type_id, packed in struct.iter_unpack("=III", self._tail(found, 12)):
            offset = base + (packed & 0xFFFFFF if found.bitfields else packed) // 8
            name = (libbpf.lib().btf__name_by_offset(self._btf, name_off) or b"").decode()
            if name:
                yield name, offset
            else:
                yield from self._places(self._read(type_id), offset)

    def variables(self, section: str) -> Mapping[str, Variable]:
        """Where each global variable of `.rodata`, `.bss` or `.data` lies in its section."""
        if not self.has(DATASEC, section):
            return {}
        found = self._read(self._find(DATASEC, section))
        raw = ctypes.string_at(found.address + _HEADER, found.length * 12)
        variables = {}
        for type_id, offset, _ in struct.iter_unpack("=III", raw):
            variable = self._read(type_id)
            variables[variable.name] = Variable(offset, self.dtype(variable.size))
        return variables

    def dtype(self, type_id: int) -> Dtype:
        if type_id not in self._dtypes:
            self._dtypes[type_id] = self._dtype(type_id)
        return self._dtypes[type_id]

    def _find(self, kind: int, name: str) -> int:
        if (kind, name) in self._ids:
            return self._ids[kind, name]
        found: int = libbpf.lib().btf__find_by_name_kind(self._btf, name.encode(), kind)
        if found <= 0:
            word = {STRUCT: "struct", ENUM: "enum", DATASEC: "section"}[kind]
            raise Invalid(f"{self._source} describes no {word} {name}; rebuild it with `make -C bpf`.")
        self._ids[kind, name] = found
        return found

    def _read(self, type_id: int) -> _Type:
        address = libbpf.lib().btf__type_by_id(self._btf, type_id)
        if not address:
            raise Invalid(f"{self._source} has broken type information; rebuild it with `make -C bpf`.")
        raw = libbpf.BtfType.from_address(address)
        name = libbpf.lib().btf__name_by_offset(self._btf, raw.name_off) or b""
        kind, length, bitfields = (raw.info >> 24) & 0x1F, raw.info & 0xFFFF, bool(raw.info >> 31)
        return _Type(name.decode(), kind, length, bitfields, raw.size_or_type, address)

    def _enumerators(self, found: _Type) -> Iterator[tuple[str, int]]:
        value = "i" if found.bitfields else "I"  # the flag says signed for enumerations
        for name_off, number in struct.iter_unpack(f"=I{value}", self._tail(found, 8)):
            yield libbpf.lib().btf__name_by_offset(self._btf, name_off).decode(), number

    def _tail(self, found: _Type, each: int) -> bytes:
        return ctypes.string_at(found.address + _HEADER, found.length * each)

    def _dtype(self, type_id: int) -> Dtype:
        if type_id == 0:
            return np.dtype("V0")
        found = self._read(type_id)
        if found.kind in _TRANSPARENT:
            order = _NETWORK_ORDER.get(found.name)
            return np.dtype(order) if order else self.dtype(found.size)
        if found.kind in (STRUCT, UNION):
            return self._record(found)
        if found.kind == ARRAY:
            element, _, count = struct.unpack("=III", ctypes.string_at(found.address + _HEADER, 12))
            return np.dtype((self.dtype(element), (count,)))
        if found.kind == INT:
            (encoding,) = struct.unpack("=I", ctypes.string_at(found.address + _HEADER, 4))
            return np.dtype(f"{'i' if encoding >> 24 & 1 else 'u'}{found.size}")
        plain = {PTR: "u8", ENUM: f"u{found.size}", ENUM64: "u8", FLOAT: f"f{found.size}"}
        if found.kind not in plain:
            raise Invalid(f"{self._source}: a type of kind {found.kind} ({found.name or 'unnamed'}) has no layout.")
        return np.dtype(plain[found.kind])

    def _record(self, found: _Type) -> Dtype:
        fields = list(self._fields(found, 0))
        return np.dtype(
            {
                "names": [name for name, _, _ in fields],
                "formats": [dtype for _, dtype, _ in fields],
                "offsets": [offset for _, _, offset in fields],
                "itemsize": found.size,
            }
        )

    def _fields(self, found: _Type, base: int) -> Iterator[tuple[str, Dtype, int]]:
        """A member without a name (an anonymous union) lends its own members, as it does in C."""
        for name_off, type_id, packed in struct.iter_unpack("=III", self._tail(found, 12)):
            name = (libbpf.lib().btf__name_by_offset(self._btf, name_off) or b"").decode()
            bits, bit_offset = (packed >> 24, packed & 0xFFFFFF) if found.bitfields else (0, packed)
            if bits or bit_offset % 8:
                raise Invalid(f"{self._source}: {found.name}.{name} is a bit field, which no record can hold.")
            offset = base + bit_offset // 8
            if name:
                yield name, self.dtype(type_id), offset
            else:
                yield from self._fields(self._read(type_id), offset)


@functools.lru_cache(maxsize=16)
def _parsed(path: Path, _modified_ns: int, _size: int) -> Types:
    try:
        btf = libbpf.lib().btf__parse(str(path).encode(), None)
    except OSError as failed:
        raise Invalid(f"{path.name} carries no readable type information; rebuild it with `make -C bpf`.") from failed
    return Types(btf, path.name)


def types(path: Path) -> Types:
    """The BTF of a built object (or of the kernel), parsed once for each state of the file."""
    try:
        state = path.stat()
    except FileNotFoundError as missing:
        raise Invalid(f"{path.name} is not built; run `make -C bpf`.") from missing
    return _parsed(path, state.st_mtime_ns, state.st_size)


def layout(path: Path, name: str) -> Dtype:
    """How `struct name` lies in memory: `np.frombuffer(raw, layout(path, name))`."""
    return types(path).struct(name)


def constants(path: Path, name: str) -> Mapping[str, int]:
    """The enumerators of `enum name`."""
    return types(path).enum(name)
