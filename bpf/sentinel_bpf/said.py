"""What libbpf says of an opened object's parts, and the verifier of a program, in words that the loader works with."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import libbpf
from .maps import Shape


def shape(each: int) -> Shape:
    library = libbpf.lib()
    return Shape(
        library.bpf_map__type(each),
        library.bpf_map__key_size(each),
        library.bpf_map__value_size(each),
        library.bpf_map__max_entries(each),
        library.bpf_map__map_flags(each),
    )


def untyped(size: int) -> np.dtype[Any]:
    """Of maps that hold descriptors, and of sections of global variables."""
    return np.dtype(f"u{size}") if size in (4, 8) else np.dtype(f"V{size}")


def walk(handle: int, step: str) -> Iterator[int]:
    each = getattr(libbpf.lib(), step)(handle, None)
    while each:
        yield each
        each = getattr(libbpf.lib(), step)(handle, each)


def takes_fragments(program: int) -> bool:
    section: bytes = libbpf.lib().bpf_program__section_name(program)
    return section.startswith(b"xdp.frags")


def map_name(each: int) -> str:
    """libbpf puts the object's name before that of a section: `agent_bp.rodata` is called `.rodata` here."""
    name: str = libbpf.lib().bpf_map__name(each).decode()
    return name[name.index(".") :] if "." in name else name


def verdict(said: str) -> str:
    """The verifier's own last line before its statistics."""
    log, found, _ = said.partition("-- END PROG LOAD LOG --")
    lines = [line for line in log.splitlines() if line and not line.startswith(("processed ", "--", "libbpf:"))]
    return lines[-1].strip() if found and lines else ""
