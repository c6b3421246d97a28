"""From a model to the structural schema a CRD can carry; whatever it cannot carry is refused by name."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.cel import KEYWORD
from sentinel_api.v1alpha1.kinds import Resource

Schema = dict[str, Any]

_COMMON = {"type", "description", "default", "nullable", KEYWORD}
_CARRIED = {
    "object": {"properties", "required", "additionalProperties", "maxProperties", "minProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"enum", "pattern", "minLength", "maxLength"},
    "integer": {"minimum", "maximum", "format", "enum"},
    "boolean": set[str](),
}
# The server estimates what a rule may cost from these; without them one rule can cost more than a CRD may.
_BOUNDS = {"array": {"maxItems"}, "string": {"maxLength", "enum"}, "integer": {"maximum", "enum"}}


def schema_of(resource: type[Resource]) -> Schema:
    """The `openAPIV3Schema` of a kind."""
    generated = resource.model_json_schema(by_alias=True, mode="validation")
    definitions = generated.pop("$defs", {})
    # Kubernetes has its own schema for these, and wants no other.
    generated["properties"]["metadata"] = {"type": "object"}
    for name in ("apiVersion", "kind"):
        generated["properties"][name] = {"type": "string"}
    generated["required"] = [name for name in generated.get("required", ()) if name != "metadata"]
    schema = _resolved(generated, definitions)
    for name in ("spec", "status"):
        checked(schema["properties"][name], f".{name}")
    return {key: schema[key] for key in ("type", "description", "required", "properties", KEYWORD) if schema.get(key)}


def plain(model: type[BaseModel]) -> Schema:
    """The schema of any model, with every reference put in its place; nothing is asked of it."""
    generated = model.model_json_schema(by_alias=True, mode="validation")
    return _resolved(generated, generated.pop("$defs", {}))


def checked(schema: Schema, path: str) -> None:
    """Raises Invalid at the first place that the API server would refuse, or where a rule's cost would be unknown."""
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _CARRIED:
        raise Invalid(f"{path}: give the field one type that a CRD knows; {sorted(schema)} has none")
    if foreign := set(schema) - _COMMON - _CARRIED[kind]:
        raise Invalid(f"{path}: a CRD cannot carry {', '.join(sorted(foreign))}; say it in CEL or another type")
    if "properties" in schema and "additionalProperties" in schema:
        raise Invalid(f"{path}: a CRD takes properties or additionalProperties, not both")
    if kind in _BOUNDS and not _BOUNDS[kind] & set(schema):
        raise Invalid(f"{path}: bound it by one of {', '.join(sorted(_BOUNDS[kind]))}, or its rules cost too much")
    if not schema.get("description") and not path.endswith("[]"):
        raise Invalid(f"{path}: describe it for its users")
    for name, below in schema.get("properties", {}).items():
        checked(below, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            _checked_element(schema[keyword], path)


def _checked_element(schema: Schema, path: str) -> None:
    if any("oldSelf" in rule["rule"] for rule in schema.get(KEYWORD, ())):
        raise Invalid(f"{path}[]: items of a list have no old value to compare with; move the rule out")
    checked(schema, f"{path}[]")


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """No references, no titles, no unions with null, and defaults free of null."""
    schema = _without_null(schema)
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    schema = {key: value for key, value in schema.items() if key != "title"}
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "properties" in schema:
        schema["properties"] = {name: _resolved(value, definitions) for name, value in schema["properties"].items()}
        if "default" in schema:
            schema["default"] = _without_nulls(schema["default"])
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            schema[keyword] = _resolved(schema[keyword], definitions)
    return schema


def _without_null(schema: Schema) -> Schema:
    """`X or null, default null` is how pydantic says "optional"; a CRD says it by not requiring the field."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**options[0], **rest}


def _without_nulls(default: Schema) -> Schema:
    """Whole, though the fields have defaults of their own: the server judges a default before it fills anything in."""
    return {
        name: _without_nulls(value) if isinstance(value, dict) else value
        for name, value in default.items()
        if value is not None
    }
