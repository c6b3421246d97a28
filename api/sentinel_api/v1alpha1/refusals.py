"""Sentences for what a model refuses, worded as the API server words them, with the place in front."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_TYPES = {
    "int": "integer",
    "bool": "boolean",
    "string": "string",
    "dict": "object",
    "model": "object",
    "list": "array",
    "tuple": "array",
}

_BOUNDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "Required value",
    "greater_than_equal": lambda c: f"should be greater than or equal to {c['ge']}",
    "less_than_equal": lambda c: f"should be less than or equal to {c['le']}",
    "string_pattern_mismatch": lambda c: f"should match '{c['pattern']}'",
    "string_too_long": lambda c: f"Too long: may not be more than {c['max_length']} bytes",
    "string_too_short": lambda c: f"should be at least {c['min_length']} chars long",
    "literal_error": lambda c: f"supported values: {_quoted(c['expected'])}",
    "cel": lambda c: str(c["message"]),
}


def sentences(error: ValidationError) -> tuple[str, ...]:
    """One a mistake: `spec.pool: minBytes must not exceed maxBytes`."""
    details = error.errors(include_url=False)
    return tuple(_sentence(detail) for detail in details if not _follows_from_another(detail, details))


def _follows_from_another(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """pydantic counts a list's broken items as missing ones too."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(loc)] == loc and len(other["loc"]) > len(loc) for other in details
    )


def _sentence(detail: ErrorDetails) -> str:
    return f"{_path(detail['loc']) or '<root>'}: {_what(detail)}"


def _what(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _BOUNDS:
        return _BOUNDS[kind](context)
    if kind == "too_long":
        unit = "properties" if context["field_type"] == "Dictionary" else "items"
        return f"must have at most {context['max_length']} {unit}"
    if kind == "too_short":
        return f"should have at least {context['min_length']} items"
    if kind == "value_error":
        return str(context["error"])
    wanted = _TYPES.get(kind.removesuffix("_type").removesuffix("_attributes"))
    return f"must be of type {wanted}" if wanted else str(detail["msg"])


def _path(loc: tuple[str | int, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _quoted(expected: str) -> str:
    """pydantic's `'A', 'B' or 'C'`, as the server lists it."""
    return expected.replace(" or ", ", ").replace("'", '"')
