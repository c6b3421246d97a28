"""Conditions: what is true of an object now, since when, and why; and the merge that keeps "since when" honest."""

from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints

from sentinel_api.v1alpha1.model import Int, Model, Time

Status = Literal["True", "False", "Unknown"]
ConditionType = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=32)]
Reason = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=40)]
Generation = Annotated[Int, Field(ge=0, le=999_999_999)]


class Condition(Model):
    """One observation about the object, as Kubernetes writes them."""

    type: ConditionType = Field(description="What is observed, in CamelCase; one condition of each type.")
    status: Status = Field(description="Whether it is so; Unknown where nobody could tell.")
    reason: Reason = Field(description="Why, as one CamelCase word for machines.")
    message: Annotated[str, StringConstraints(max_length=1024)] = Field(
        "", description="Why, as a sentence a person can act on."
    )
    observed_generation: Generation = Field(0, description="The generation of the spec that this speaks of.")
    last_transition_time: Time = Field(description="When status last changed.")


MAX_NODE_MESSAGE = 64


class NodeCondition(Condition):
    """A condition of one node; it is short, because thousands of nodes report."""

    type: Annotated[ConditionType, Field(max_length=16)] = Field(description="What is observed, in CamelCase.")
    reason: Annotated[Reason, Field(max_length=28)] = Field(description="Why, as one CamelCase word for machines.")
    message: Annotated[str, StringConstraints(max_length=MAX_NODE_MESSAGE)] = Field(
        "", description="Why, as a short sentence a person can act on."
    )


AnyCondition = TypeVar("AnyCondition", bound=Condition)


def merge(old: Iterable[AnyCondition], new: Iterable[AnyCondition]) -> tuple[AnyCondition, ...]:
    """`new` over `old`, by type and in their order; a status that did not change keeps the time of its last change."""
    merged = {condition.type: condition for condition in old}
    for condition in new:
        before = merged.get(condition.type)
        unchanged = before is not None and before.status == condition.status
        since = before.last_transition_time if before is not None and unchanged else condition.last_transition_time
        merged[condition.type] = condition.model_copy(update={"last_transition_time": since})
    return tuple(merged[kind] for kind in sorted(merged))
