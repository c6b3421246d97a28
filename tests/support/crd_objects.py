"""Objects made from a CRD's schema: mostly valid, often at a bound, now and then just beyond one."""

import functools
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from sentinel_api import crdgen
from sentinel_api.v1alpha1.kinds import Resource
from sentinel_api.v1alpha1.model import TIME_PATTERN

Schema = Mapping[str, Any]

# What a schema cannot say but a rule asks for; mixed in where free text goes, beside nonsense.
TEXTS = (
    "",
    "a",
    "web",
    "eth0",
    "10.0.0.0/8",
    "2001:db8::/32",
    "192.0.2.1",
    "::1",
    "::ffff:1.2.3.4",
    "1.2.3.4/33",
    "A b",
    "ü\n",
)
TIMES = (
    "2030-01-31T12:00:00Z",
    "2030-01-31T12:00:00.123456Z",
    "2030-01-31T12:00:00+02:00",
    "2030-02-30T12:00:00Z",
    "2030-01-31",
    "2030-01-31T24:00:00Z",
    "2030-01-31T12:00:60Z",
    "1999-01-31T12:00:00Z",
    "2030-01-31t12:00:00z",
    "2030-01-31 12:00:00Z",
    "2030-01-31T12:00:00.1234567Z",
    "2030-01-31T12:00:00+25:00",
    "2030-01-31T12:00:00-23:59",
    "2030-01-31T12:00:00,5Z",
    "2030-01-31T12:00:00Z\n",
    "0000-01-31T12:00:00Z",
    "9999-12-31T23:59:59Z",
    "2030-13-01T12:00:00Z",
    "2028-02-29T12:00:00Z",
    "2030-02-29T12:00:00Z",
    "2030-04-31T12:00:00Z",
    [],
)
ODDITIES = (None, True, 7, 1.5, "7", [], {}, [7])


@functools.cache
def halves(resource: type[Resource], half: str) -> SearchStrategy[Any]:
    """Values for `spec` or `status` of a kind."""
    schema = crdgen.crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return values(schema["properties"][half])


def values(schema: Schema) -> SearchStrategy[Any]:
    """One in eighty is of another type altogether."""
    sane = _sane(schema)
    return st.integers(0, 79).flatmap(lambda draw: st.sampled_from(ODDITIES) if draw == 0 else sane)


def _sane(schema: Schema) -> SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from([*schema["enum"]] * 20 + ["Other"])
    if schema["type"] == "object":
        return _object(schema)
    if schema["type"] == "array":
        most = min(schema["maxItems"] + 1, 3)
        return st.lists(values(schema["items"]), min_size=min(schema.get("minItems", 0), 1), max_size=most)
    if schema["type"] == "integer":
        return _integer(schema)
    if schema["type"] == "boolean":
        return st.booleans()
    return st.sampled_from((*TIMES, *TIMES[:3] * 20)) if schema.get("pattern") == TIME_PATTERN else _text(schema)


def _object(schema: Schema) -> SearchStrategy[Any]:
    if "additionalProperties" in schema:
        return st.dictionaries(
            st.sampled_from(["a", "example.com/b", "C"]), values(schema["additionalProperties"]), max_size=3
        )
    required = {name: values(schema["properties"][name]) for name in schema.get("required", ())}
    optional = {name: values(below) for name, below in schema["properties"].items() if name not in required}
    # Fields that are not ours must be pruned on both sides.
    optional["notAField"] = st.just(None)
    return st.fixed_dictionaries(required, optional=optional)


def _integer(schema: Schema) -> SearchStrategy[int]:
    low, high = schema.get("minimum", 0), schema["maximum"]
    inside = st.integers(low, high) | st.integers(low, min(high, low + 100)) | st.sampled_from([low, high])
    return st.integers(0, 39).flatmap(lambda draw: st.sampled_from([low - 1, high + 1]) if draw == 0 else inside)


def _text(schema: Schema) -> SearchStrategy[str]:
    longest = schema["maxLength"]
    free = st.sampled_from(TEXTS) | st.sampled_from(["x" * longest, "ü" * longest, "x" * (longest + 1)])
    if "pattern" not in schema:
        return free
    # `$` of Python lets a line break follow; the pattern's own, in Go and in Rust, does not.
    matching = st.from_regex(schema["pattern"].replace("$", r"\Z"), alphabet=st.characters(codec="ascii"))
    short = matching.map(lambda text: text[:longest])
    return st.integers(0, 14).flatmap(lambda draw: free if draw == 0 else matching if draw == 1 else short)
