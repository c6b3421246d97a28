"""Why a knob moved: the one record that every arbiter writes and that everything shown to people is made from."""

from __future__ import annotations

import hashlib
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from pydantic.alias_generators import to_camel

from sentinel_api.errors import Invalid

Value = int | FiniteFloat | str
"""Of a knob; JSON has no infinity, so there is none here."""

_KEPT_DIGITS: Final = 16
_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class _Record(BaseModel):
    """Frozen, camelCase outside, and deaf to fields of a newer writer."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class Alternative(_Record):
    """What another policy would have ordered from the same inputs."""

    policy: str = Field(min_length=1)
    value: Value
    why: str = ""


class Decision(_Record):
    """One knob of one subject moved, or deliberately left, by one arbiter."""

    inputs_digest: str = Field(pattern=r"^[0-9a-f]{16}$", description="Of the inputs, so that equal ones are found.")
    policy: str = Field(min_length=1, description="Who decided: 'forecast', 'reactive', 'drain' …")
    knob: str = Field(min_length=1, description="What was set: 'buffer', 'weight', 'announcement', 'scale' …")
    subject: str = Field("", description="Whose knob: a traffic class, a node, an address.")
    old: Value
    new: Value
    unit: str = Field("", description="Of old, new and the alternatives; 'bytes' are shown with a binary prefix.")
    reason: str = Field(min_length=1, description="Why, in words for people.")
    alternatives: tuple[Alternative, ...] = ()
    decided_at_millis: int = Field(ge=0, description="Unix time in milliseconds.")
    expires_at_millis: int = Field(ge=0, description="Unix time in milliseconds after which the value no longer holds.")

    def expired(self, now_millis: int) -> bool:
        """At the instant of expiry the decision is already void, as a lease in the kernel is."""
        return now_millis >= self.expires_at_millis

    def sentence(self) -> str:
        """The decision for people, in one line; the same record always reads the same."""
        name = f"{self.knob} of {self.subject}" if self.subject else self.knob
        if self.old == self.new:
            moved = f"{name} stays at {_shown(self.new, self.unit)}"
        else:
            moved = f"{name} goes from {_shown(self.old, self.unit)} to {_shown(self.new, self.unit)}"
        lifetime_s = max(0, self.expires_at_millis - self.decided_at_millis) / 1000
        text = f"{moved} ({self.policy}, for {lifetime_s:g} s): {self.reason}"
        if self.alternatives:
            others = ", ".join(_alternative(each, self.unit) for each in self.alternatives)
            text += f"; otherwise {others}"
        return " ".join(text.split())

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises `Invalid` with one sentence that names the first field at fault."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the text"
            raise Invalid(f"this is no decision record: {where}: {first['msg']}") from error


def inputs_digest(inputs: bytes) -> str:
    """Short, stable name of the inputs that a decision was made from."""
    return hashlib.blake2s(inputs, digest_size=_KEPT_DIGITS // 2).hexdigest()


def _alternative(other: Alternative, unit: str) -> str:
    shown = f"{other.policy} {_shown(other.value, unit)}"
    return f"{shown} ({other.why})" if other.why else shown


def _shown(value: Value, unit: str) -> str:
    if isinstance(value, str):
        return value
    if unit in ("bytes", "bytes/s"):
        return _binary(value) + unit.removeprefix("bytes")
    return f"{value:g} {unit}" if unit and isinstance(value, float) else f"{value} {unit}".strip()


def _binary(size: float) -> str:
    step = 0
    while abs(size) >= 1024 and step < len(_BINARY) - 1:
        size, step = size / 1024, step + 1
    return f"{size:.0f} {_BINARY[step]}" if step == 0 else f"{size:.1f} {_BINARY[step]}"
