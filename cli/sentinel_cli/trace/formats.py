"""What a tracepoint tells, from the kernel's own description of it: fields move between versions, names do not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD: Final = re.compile(
    r"^\s*field:(?P<type>[^;]*?)(?P<name>\w+)(?P<array>\[[^\]]*\])?;\s*offset:(?P<offset>\d+);\s*size:(?P<size>\d+);",
    re.MULTILINE,
)
_SYMBOL: Final = re.compile(r"\{\s*(\d+),\s*\"([^\"]*)\"\s*\}")


@dataclass(frozen=True, slots=True)
class Field:
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Format:
    """`fields` by name, and the words that the kernel prints for the values of enumerations."""

    event: str
    fields: Mapping[str, Field]
    words: Mapping[int, str]

    def read(self, name: str) -> str:
        """C that reads a field of the tracepoint's record `args`, as an unsigned number."""
        found = self.place(name)
        kinds = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}
        if found.size not in kinds:
            raise Unsupported(f"{name} of {self.event} is {found.size} bytes long, which is no number")
        return f"*({kinds[found.size]} *)((char *)args + {found.offset})"

    def place(self, name: str) -> Field:
        found = self.fields.get(name)
        if found is None:
            raise Unsupported(f"this kernel's tracepoint {self.event} does not tell {name}: a newer kernel does")
        return found


def parsed(event: str, text: str) -> Format:
    fields = {each["name"]: Field(int(each["offset"]), int(each["size"])) for each in _FIELD.finditer(text)}
    _, _, printed = text.partition("print fmt:")
    return Format(event, fields, {int(number): word for number, word in _SYMBOL.findall(printed)})
