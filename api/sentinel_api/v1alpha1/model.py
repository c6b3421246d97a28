"""The base of every API type: frozen, camelCase on the wire, and accepting exactly what the API server accepts."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1 import refusals
from sentinel_api.v1alpha1.cel import Rule, cel, holds, rules_in

__all__ = ["Count", "Digest", "Flag", "Int", "Label", "Model", "Name", "Percent", "Time", "cel"]

# The widest integer that every JSON reader keeps exactly.
MAX_INT = (1 << 53) - 1

# A pattern, because the server's `format: date-time` lets lists through, and times that Python cannot hold (year 0,
# nanoseconds, zones beyond a day). Days are those of the month; 20YY is a leap year when YY divides by four.
_DAY = (
    "(20[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    "|20([02468][048]|[13579][26])-02-29)"
)
_HOUR_AND_MINUTE = "([01][0-9]|2[0-3]):[0-5][0-9]"
TIME_PATTERN = rf"^{_DAY}T{_HOUR_AND_MINUTE}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_HOUR_AND_MINUTE})$"
_NOT_A_TIME = "must be a time such as 2030-01-31T12:00:00Z"


def _instant(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.fullmatch(TIME_PATTERN[:-1], value):
        raise ValueError(_NOT_A_TIME)
    return datetime.fromisoformat(value)


def _wire_instant(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


# No coercion: a server takes neither "5" nor true for the number 5.
Int = StrictInt
Flag = StrictBool
Count = Annotated[StrictInt, Field(ge=0, le=MAX_INT)]
Percent = Annotated[StrictInt, Field(ge=0, le=100)]
Time = Annotated[
    AwareDatetime,
    BeforeValidator(_instant),
    PlainSerializer(_wire_instant, return_type=str),
    WithJsonSchema({"type": "string", "pattern": TIME_PATTERN, "maxLength": 32}),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]


def _without_nulls(value: Any) -> Any:
    """The server takes null in an object for a field left out; in a list it is an item, and a wrong one."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(below) for key, below in value.items() if below is not None}
    return [_without_nulls(below) for below in value] if isinstance(value, list) else value


class Model(BaseModel):
    """Frozen value; fields of a newer writer are ignored, so that versions one apart can talk."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore", use_attribute_docstrings=True
    )

    @classmethod
    def parse(cls, wire: Mapping[str, Any]) -> Self:
        """What a server or a file handed us. Raises Invalid with the API server's own sentence for each mistake."""
        try:
            return cls.model_validate(_without_nulls(wire))
        except ValidationError as error:
            raise Invalid("; ".join(refusals.sentences(error))) from error

    def wire(self) -> dict[str, Any]:
        """JSON-ready, camelCase, without what is unset; `parse` reads it back to an equal value."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def rules(cls) -> tuple[Rule, ...]:
        return rules_in(cls.model_config.get("json_schema_extra"))

    @model_validator(mode="after")
    def _obeys_its_rules(self) -> Self:
        standing = [rule for rule in self.rules() if not rule.about_change]
        if standing:
            wire = self.wire()
            for rule in standing:
                if not holds(rule, {"self": wire}):
                    raise PydanticCustomError("cel", "{message}", {"message": rule.message})
        return self

    def refused_changes(self, old: Self, path: str = "") -> tuple[str, ...]:
        """Why the server would refuse to store this over `old`: a sentence for each broken transition rule."""
        sentences = [
            f"{path or '<root>'}: {rule.message}"
            for rule in self.rules()
            if rule.about_change and not holds(rule, {"self": self.wire(), "oldSelf": old.wire()})
        ]
        for name, field in type(self).model_fields.items():
            now, before = getattr(self, name), getattr(old, name)
            if isinstance(now, Model) and type(now) is type(before):
                below = f"{path}.{field.alias}" if path else str(field.alias)
                sentences.extend(now.refused_changes(before, below))
        return tuple(sentences)
