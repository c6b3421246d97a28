"""Reading what a running agent keeps in the kernel, from another process and without loading anything."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import object as bpf_object
from . import pins
from .maps import Map


@contextlib.contextmanager
def maps(path: Path, where: Path) -> Iterator[Mapping[str, Map]]:
    """The maps of the object at `path` that are pinned in the folder `where`, by name; views outlive the block."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name, (key, value) in bpf_object.described(path).items():
            descriptor = pins.find(where / name)
            if descriptor is not None:
                stack.callback(os.close, descriptor)
                found[name] = Map(name, descriptor, key, value)
        yield found
