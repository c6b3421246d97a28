"""A built BPF object, from file to running programs: checked, configured, loaded, its maps pinned or taken over."""

import ctypes
import errno
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from sentinel_api.errors import Invalid, Transient, Unsupported

from . import layout, libbpf, pins, probe, said
from .maps import Map, Shape, cpus, record

ABI_VERSION: Final = 1  # of the layouts that this Python was written for: SN_ABI_VERSION in abi.h
_ABI_VARIABLE: Final = "sn_abi_version"
_LOG_TAIL: Final = 8192  # the verifier names the cause last


@dataclass(frozen=True, slots=True)
class Options:
    """What is chosen before the kernel sees the object; the verifier prunes what is switched off."""

    rodata: Mapping[str, Any] = field(default_factory=dict)
    max_entries: Mapping[str, int] = field(default_factory=dict)
    sharded: frozenset[str] = frozenset()  # arrays with one CPU's cells declared, of which every CPU gets as many
    programs: frozenset[str] | None = None  # None: all
    pins: Path | None = None  # a bpffs folder: maps found there are taken over, the others are pinned there
    replace_pins: bool = False  # a pinned map of another shape is replaced (and its content lost) instead of refused
    follows: Mapping[str, str] = field(default_factory=dict)  # a count of another map begins anew with it
    shared: Mapping[str, Map] = field(default_factory=dict)  # maps of another object to use instead of own ones


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    descriptor: int
    fragments: bool = False  # takes XDP frames that lie in several pages (xdp.frags)

    def verified_instructions(self) -> int:
        """How much of its budget of a million the verifier spent on this program."""
        return int(libbpf.info(libbpf.ProgInfo, self.descriptor).verified_insns)


class LoadRefused(Unsupported):
    """The kernel would not take the object; `log` is the tail of what the verifier and libbpf said."""

    def __init__(self, sentence: str, log: str) -> None:
        super().__init__(sentence)
        self.log = log
        if log:
            self.add_note(log)


class Object:
    """Programs and maps of one loaded object. Closing it lets go of all that is neither pinned nor attached."""

    def __init__(self, path: Path, handle: int, maps: Mapping[str, Map], programs: Mapping[str, Program]) -> None:
        self.path = path
        self.types = layout.types(path)
        self._maps = maps
        self._programs = programs
        self._handle = handle
        self._close = weakref.finalize(self, libbpf.lib().bpf_object__close, handle)

    def map(self, name: str) -> Map:
        """By its name; `.bss` and `.data` hold the global variables."""
        if name not in self._maps:
            raise Invalid(f"{self.path.name} has no map {name}; it has {', '.join(sorted(self._maps))}.")
        return self._maps[name]

    def program(self, name: str) -> Program:
        if name not in self._programs:
            raise Invalid(f"{self.path.name} loaded no program {name}; it has {', '.join(sorted(self._programs))}.")
        return self._programs[name]

    def register(self, name: str) -> None:
        """Tell the kernel of the operations in the struct_ops map `name`, until entry 0 of that map is deleted."""
        found = libbpf.lib().bpf_object__find_map_by_name(self._handle, name.encode())
        libbpf.lib().bpf_map__attach_struct_ops(found)  # what it returns is only libbpf's own note of the map

    @property
    def maps(self) -> Mapping[str, Map]:
        return self._maps

    @property
    def programs(self) -> Mapping[str, Program]:
        return self._programs

    def close(self) -> None:
        self._close()

    def __enter__(self) -> "Object":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load(path: Path, options: Options | None = None) -> Object:
    """The object, verified by the kernel; nothing is attached yet."""
    options = options or Options()
    with libbpf.words() as words:
        opened = _Opened(path)
        try:
            opened.configure(options)
            try:
                libbpf.lib().bpf_object__load(opened.handle)
            except OSError as failed:
                opened.refused(failed, "".join(words))
            return opened.finish(options)
        except BaseException:
            libbpf.lib().bpf_object__close(opened.handle)
            raise


def described(path: Path) -> Mapping[str, tuple[layout.Dtype, layout.Dtype]]:
    """Key and value of each map that can be pinned, from the file alone: nothing is loaded."""
    opened = _Opened(path)
    try:
        opened.check_abi()
        return {name: opened.kinds[name] for name in opened.own(())}
    finally:
        libbpf.lib().bpf_object__close(opened.handle)


class _Opened:
    """Between open and load: the only time at which constants, sizes and the choice of programs can be set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise Invalid(f"{path.name} is not built; run `make -C bpf`.")
        try:
            self.handle: int = libbpf.lib().bpf_object__open(str(path).encode())
        except OSError as failed:
            raise Invalid(f"{path.name} is no BPF object that links; rebuild it with `make -C bpf`.") from failed
        self.types = layout.types(path)
        self.maps = {said.map_name(each): each for each in said.walk(self.handle, "bpf_object__next_map")}
        # Before any map is taken over: from then on libbpf answers with type ids of another object's BTF.
        self.kinds = {name: self._record_types(each) for name, each in self.maps.items()}
        self.programs = {
            libbpf.lib().bpf_program__name(each).decode(): each
            for each in said.walk(self.handle, "bpf_object__next_program")
        }

    def configure(self, options: Options) -> None:
        self.check_abi()
        for name, value in options.rodata.items():
            self._set_constant(name, value)
        for name, entries in options.max_entries.items():
            libbpf.lib().bpf_map__set_max_entries(self._map(name), entries)
        for name in options.sharded:
            declared = libbpf.lib().bpf_map__max_entries(self._map(name))
            libbpf.lib().bpf_map__set_max_entries(self._map(name), declared * cpus())
        if options.programs is not None:
            unknown = options.programs - self.programs.keys()
            if unknown:
                raise Invalid(f"{self.path.name} has no program {', '.join(sorted(unknown))}.")
            for name, program in self.programs.items():
                libbpf.lib().bpf_program__set_autoload(program, name in options.programs)
        for name, other in options.shared.items():
            self._use(name, other.descriptor)
        if options.pins is not None:
            self._take_over(options.pins, options)

    def finish(self, options: Options) -> Object:
        maps = {name: self._loaded(name, each) for name, each in self.maps.items()}
        programs = {
            name: Program(name, libbpf.lib().bpf_program__fd(each), said.takes_fragments(each))
            for name, each in self.programs.items()
            if options.programs is None or name in options.programs
        }
        if options.pins is not None:
            for name in self.own(options.shared.keys()):
                pins.put(maps[name].descriptor, options.pins / name)
        return Object(self.path, self.handle, maps, programs)

    def refused(self, failed: OSError, words: str) -> NoReturn:
        # Without PERFMON the verifier refuses with words of its own, which name no right.
        if probe.lacking_rights() or (failed.errno == errno.EPERM and "BEGIN PROG LOAD LOG" not in words):
            raise Unsupported(
                f"{self.path.name} may not be loaded; CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed."
            ) from failed
        if failed.errno in (errno.EAGAIN, errno.EINTR):
            raise Transient(f"{self.path.name} could not be loaded just now; try again.") from failed
        cause = next((line for line in reversed(words.splitlines()) if "libbpf: map '" in line), "")
        if cause and "PROG LOAD LOG" not in words:
            raise Invalid(f"{self.path.name}: {cause.removeprefix('libbpf: ')}; choose another size.") from failed
        reason = said.verdict(words) or failed.strerror
        raise LoadRefused(
            f"The kernel {os.uname().release} refuses {self.path.name}: {reason}", words[-_LOG_TAIL:]
        ) from failed

    def check_abi(self) -> None:
        carried = self._constant(_ABI_VARIABLE)
        if carried != ABI_VERSION:
            told = "no ABI version" if carried is None else f"ABI version {carried}"
            raise Invalid(f"{self.path.name} has {told}, but {ABI_VERSION} is needed; rebuild it with `make -C bpf`.")

    def _map(self, name: str) -> int:
        if name not in self.maps:
            raise Invalid(f"{self.path.name} has no map {name}; it has {', '.join(sorted(self.maps))}.")
        return self.maps[name]

    def _initial(self) -> int | None:
        """The constants as they will be frozen, still writable."""
        size = ctypes.c_size_t()
        section = self.maps.get(".rodata")
        return libbpf.lib().bpf_map__initial_value(section, ctypes.byref(size)) if section else None

    def _constant(self, name: str) -> Any:
        variable, start = self.types.variables(".rodata").get(name), self._initial()
        if variable is None or start is None:
            return None
        raw = ctypes.string_at(start + variable.offset, variable.dtype.itemsize)
        return np.frombuffer(raw, variable.dtype)[0]

    def _set_constant(self, name: str, value: Any) -> None:
        variables, start = self.types.variables(".rodata"), self._initial()
        if name not in variables or start is None:
            raise Invalid(f"{self.path.name} has no constant {name}; it has {', '.join(sorted(variables))}.")
        variable = variables[name]
        raw = record(variable.dtype, value).tobytes()
        ctypes.memmove(start + variable.offset, raw, len(raw))

    def own(self, shared: Any) -> Iterator[str]:
        for name, each in self.maps.items():
            if name not in shared and not libbpf.lib().bpf_map__is_internal(each):
                yield name

    def _use(self, name: str, descriptor: int) -> None:
        wanted, found = said.shape(self._map(name)), Shape.of(descriptor)
        if wanted != found:
            raise Invalid(f"The map given for {name} is of {found}; {self.path.name} needs {wanted}.")
        libbpf.lib().bpf_map__reuse_fd(self._map(name), descriptor)

    def _take_over(self, where: Path, options: Options) -> None:
        taken: set[str] = set()
        for name in sorted(self.own(options.shared.keys()), key=options.follows.__contains__):  # followers last
            leader = options.follows.get(name)
            if (leader is None or leader in taken) and self._found(name, where, options):
                taken.add(name)

    def _found(self, name: str, where: Path, options: Options) -> bool:
        """Whether the pinned map of this name is used from now on."""
        descriptor = pins.find(where / name)
        if descriptor is None:
            return False
        try:
            self._use(name, descriptor)
        except Invalid as unlike:
            if not options.replace_pins:
                raise Invalid(f"{unlike} Detach what runs, or let the pinned map be replaced.") from unlike
            return False
        finally:
            os.close(descriptor)  # libbpf holds a duplicate
        return True

    def _loaded(self, name: str, each: int) -> Map:
        return Map(name, libbpf.lib().bpf_map__fd(each), *self.kinds[name])

    def _record_types(self, each: int) -> tuple[layout.Dtype, layout.Dtype]:
        library = libbpf.lib()
        sizes = library.bpf_map__key_size(each), library.bpf_map__value_size(each)
        ids = library.bpf_map__btf_key_type_id(each), library.bpf_map__btf_value_type_id(each)
        internal = library.bpf_map__is_internal(each)
        key, value = (
            self.types.dtype(type_id) if type_id and not internal else said.untyped(size)
            for type_id, size in zip(ids, sizes, strict=True)
        )
        return key, value
