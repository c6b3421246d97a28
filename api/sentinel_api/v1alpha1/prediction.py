"""The prediction part of the spec: which model foresees, when it is believed, and what replaces it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sentinel_api.v1alpha1.model import Digest, Int, Model, Percent, cel


class ModelGate(Model):
    """When forecasts are trusted: they must have been right lately, on this node."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.closeBelowPercent <= self.openAbovePercent",
                "closeBelowPercent must not exceed openAbovePercent, or the gate would flap",
            ),
        )
    )

    open_above_percent: Percent = Field(60, description="Live precision from which forecasts are acted on.")
    close_below_percent: Percent = Field(50, description="Live precision below which they are not any more.")
    window_seconds: Int = Field(3_600, ge=60, le=86_400, description="How far back forecasts are scored.")
    min_events: Int = Field(10, ge=1, le=1_000, description="Alarms that must have been scored before they are judged.")


class Prediction(Model):
    """Where forecasts come from, and what happens when they are bad."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.ref.startsWith('builtin:') || has(self.digest)",
                "a mounted model needs its digest: set model.digest to sha256:… of the file",
            ),
        )
    )

    ref: Annotated[str, StringConstraints(pattern=r"^(builtin:[a-z0-9][-a-z0-9.]*|/[^\s]*\.onnx)$", max_length=512)] = (
        Field("builtin:default", description="builtin:NAME, or the path of a mounted .onnx file.")
    )
    digest: Digest | None = Field(None, description="SHA-256 of the model; agents refuse any other file.")
    gate: ModelGate = Field(ModelGate(), description="When forecasts are acted on.")
    fallback: Literal["Smoothing", "Reactive"] = Field(
        "Smoothing",
        description="What replaces a model that is missing, slow or wrong: Smoothing extrapolates, Reactive waits for "
        "pressure.",
    )
