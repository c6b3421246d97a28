"""A trained model beside the learners: whatever is wrong with it, a forecast leaves all the same, and in time.

Only this module knows ONNX Runtime. The model runs on one thread of its own between two ticks: it is asked once a
tick's orders are out, and the next tick takes what it said, a tenth of a second further on. What is late, not finite or
still warming up is replaced by what the learners say.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from sentinel_agent.clock import go_first
from sentinel_agent.predict.schedule import Schedule
from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES
from sentinel_core import inputs, signature
from sentinel_core.events import LIVE, Rule
from sentinel_core.forecast import Forecast, checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.inputs import Inputs, Learned
    from sentinel_core.sample import Sample

    Table = NDArray[np.float32]

BUILTIN: Final = "builtin:"
MODELS: Final = Path(__file__).parent / "models"
DIGEST_KEY: Final = "inputs_digest"
MOST_BYTES: Final = 5 << 20
MOST_STATE: Final = 16_384
"""Floats a class: a megabyte for all of them."""
DEADLINE_S: Final = 0.020
TRIAL_STEPS: Final = 20
WARM_UP_TICKS: Final = 100
"""A state that starts at nothing says little for some seconds."""
OLDEST_NS: Final = 1_000_000_000
"""Chances are of whole seconds: what was said of a sample further back is of other ones."""
STRIKES: Final = 3
REST_TICKS: Final = 600
"""After so many failures in a row the model is left alone for a minute: each late answer costs its deadline."""

_BROKEN: Final = (
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NotImplemented,
    ort.RuntimeException,
)
_OUTPUTS: Final = ("hazard", "magnitude_bytes", "demand", "next_state")


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Loaded, checked and tried; `name` becomes the source of its forecasts."""

    name: str
    digest: str
    state: int
    session: Any

    def step(self, fed: Inputs, state: Table) -> tuple[Table, ...]:
        found = self.session.run(_OUTPUTS, {"x": fed.x, "valid": fed.valid, "state": state})
        return tuple(found)


def load(ref: str, digest: str | None = None) -> Model:
    """Takes as long as reading and some steps take, so never inside a tick. Raises `Invalid` with what to do."""
    path = file_of(ref)
    raw = _read(path)
    found = hashlib.sha256(raw).hexdigest()
    wanted = _digest_of_card(path) if digest is None and ref.startswith(BUILTIN) else digest
    if wanted is not None and found != wanted.removeprefix("sha256:"):
        raise Invalid(f"{path.name} has digest sha256:{found}, not {wanted}: correct model.digest or the file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    except _BROKEN as error:
        raise Invalid(f"{path.name} is no model that can be run: {_first_line(error)}") from error
    widths = signature.check(session.get_inputs(), session.get_outputs())
    _check_inputs(path, widths, session)
    model = Model(path.stem, found, widths.state, session)
    _try(model)
    return model


def file_of(ref: str) -> Path:
    return MODELS / f"{ref.removeprefix(BUILTIN)}.onnx" if ref.startswith(BUILTIN) else Path(ref)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Invalid(f"the model {path} cannot be read ({error.strerror}): name a file that is there") from error
    if len(raw) > MOST_BYTES:
        raise Invalid(f"the model {path} is larger than {MOST_BYTES >> 20} MiB: that is more than a node should hold")
    return raw


def _digest_of_card(path: Path) -> str:
    try:
        card = json.loads(path.with_suffix(".json").read_text())
        return str(card["digest"])
    except (OSError, ValueError, KeyError) as error:
        raise Invalid(f"{path.name} has no card with its digest: install the model with its .json") from error


def _check_inputs(path: Path, widths: signature.Widths, session: Any) -> None:
    told = session.get_modelmeta().custom_metadata_map.get(DIGEST_KEY, "none")
    if told != inputs.DIGEST or widths.features != len(inputs.COLUMNS):
        raise Invalid(
            f"{path.name} was trained on inputs {told[:12]}, but this agent feeds {inputs.DIGEST[:12]}: train it anew"
        )
    if widths.state > MOST_STATE:
        raise Invalid(f"{path.name} has a state of {widths.state} numbers a class: at most {MOST_STATE} are carried")


def _try(model: Model) -> None:
    """Some steps on quiet inputs: what fails or dawdles now would do so in every tick."""
    fed = inputs.Inputs(np.zeros((CLASSES, len(inputs.COLUMNS)), np.float32), np.ones(CLASSES, np.float32))
    state = np.zeros((CLASSES, model.state), np.float32)
    took = []
    for _ in range(TRIAL_STEPS):
        began = monotonic()
        try:
            *answer, state = model.step(fed, state)
        except _BROKEN as error:
            raise Invalid(f"{model.name} fails when it is run: {_first_line(error)}") from error
        took.append(monotonic() - began)
        if not all(np.isfinite(each).all() for each in (*answer, state)):
            raise Invalid(f"{model.name} answers quiet inputs with numbers that are not finite: train it anew")
    if min(took) > DEADLINE_S:
        raise Invalid(f"{model.name} needs {min(took) * 1e3:.0f} ms a step: {DEADLINE_S * 1e3:.0f} ms is the deadline")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """One step of a model, and the sample that it is of."""

    model: Model
    fed: Inputs
    state: Table
    sample_ns: int


class _Worker:
    """The one thread in which models run: `ask` at the end of a tick, `answer` in the next one."""

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Table, ...] | str] = queue.SimpleQueue()
        self._open: _Asked | None = None
        self._since_s = 0.0
        self._late = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def ask(self, asked: _Asked) -> None:
        """Who has not answered yet is asked nothing more."""
        if self._open is None:
            self._open, self._since_s = asked, monotonic()
            self._questions.put(asked)

    def answer(self) -> tuple[_Asked | None, tuple[Table, ...] | str]:
        """What was asked, and the answer or a sentence on why there is none; None where nothing was asked. It waits
        until the deadline, which has passed long since where ticks are a period apart."""
        asked = self._open
        if asked is None:
            return None, ()
        try:
            found = self._answers.get(timeout=max(self._since_s + DEADLINE_S - monotonic(), 0.0))
        except queue.Empty:
            self._late = True
            return asked, f"the model took longer than {DEADLINE_S * 1e3:.0f} ms"
        was_late, self._open, self._late = self._late, None, False
        return asked, "the model answered an earlier tick late" if was_late else found

    def close(self) -> None:
        self._questions.put(None)

    def _run(self) -> None:
        go_first()  # the next tick looks for the answer
        while (asked := self._questions.get()) is not None:
            try:
                self._answers.put(asked.model.step(asked.fed, asked.state))
            except _BROKEN as error:
                self._answers.put(f"the model failed: {_first_line(error)}")


def _by_now(hazard: NDArray[np.float64], own: NDArray[np.float64], since_s: float) -> NDArray[np.float64]:
    """Chances told so long ago: each second's begins in the one after it. Where the learners know by now that there can
    be none, as when a burst has just begun, there is none."""
    later = np.hstack([hazard[:, 1:], hazard[:, -1:]])
    return np.where(own > 0.0, (1.0 - since_s) * hazard + since_s * later, 0.0)


class Cortex:
    """Learners and model as one forecaster. `offer` may be called from any thread; the rest belongs to the tick."""

    name = "cortex"

    def __init__(self, model: Model | None = None, rule: Rule = LIVE) -> None:
        self._schedule = Schedule(rule)
        self._worker = _Worker()
        self._offered: Model | None = model
        self._model: Model | None = None
        self._state = np.zeros((CLASSES, 0), np.float32)
        self._warm_in, self._strikes, self._rest = 0, 0, 0
        self._unpondered: tuple[int, Model | None, Learned] | None = None
        self.fault = ""
        """Why the last forecast was not the model's; empty when it was."""
        self.failures = 0

    @property
    def began(self) -> NDArray[np.bool_]:
        """In which classes a burst began between the last two samples."""
        return self._schedule.began

    def offer(self, model: Model | None) -> None:
        """Adopted by the next tick; until then the old one answers, so that no tick is lost."""
        self._offered = model

    def close(self) -> None:
        self._worker.close()

    def predict(self, sample: Sample) -> Forecast:
        self.ponder()
        model = self._adopted()
        if self._schedule.see(sample):
            self._forget()
        learned = self._schedule.senses.learned()
        own = self._schedule.said(sample, learned)
        if model is None or self._rest > 0:
            self._unpondered = sample.t_ns, None, learned
            self._rest = max(0, self._rest - 1)
            self.fault = self.fault if model else "no model is loaded"
            return own
        self._unpondered = sample.t_ns, model, learned
        return self._judged(sample, model, own)

    def ponder(self) -> None:
        """The model is asked before the learners learn on: what it is fed is what they said."""
        if self._unpondered is None:
            return
        (sample_ns, model, learned), self._unpondered = self._unpondered, None
        senses, now = self._schedule.senses, self._schedule.seen
        if model is None:
            senses.keep_pace(now)
        else:
            self._worker.ask(_Asked(model, senses.inputs(now, learned), self._state, sample_ns))
        self._schedule.ponder()

    def _judged(self, sample: Sample, model: Model, own: Forecast) -> Forecast:
        """What the model said of the sample before, if that can be used, else the learners' own."""
        asked, answer = self._worker.answer()
        if isinstance(answer, str):
            self._failed(answer)
            return own
        if asked is None or asked.model is not model or sample.t_ns - asked.sample_ns > OLDEST_NS:
            self._warm_in = max(self._warm_in - 1, 0)
            self.fault = "the model is warming up"
            return own
        hazard, magnitude, demand, state = answer
        if not np.isfinite(state).all():
            self._failed("the model's state is not finite any more")
            return own
        try:
            said = checked(sample.t_ns, model.name, hazard, magnitude, demand)
        except Invalid as error:
            self._failed(str(error))
            return own
        self._state, self._strikes = state, 0
        said = replace(said, hazard=_by_now(said.hazard, own.hazard, (sample.t_ns - asked.sample_ns) / 1e9))
        believed = self._schedule.senses.believed(own, said)
        if self._warm_in > 0:
            self._warm_in -= 1
            self.fault = "the model is warming up"
            return own
        self.fault = ""
        return replace(said, hazard=believed.hazard, magnitude_bytes=believed.magnitude_bytes, demand=believed.demand)

    def _adopted(self) -> Model | None:
        if self._offered is not self._model:
            self._model, self._strikes, self._rest = self._offered, 0, 0
            self._forget()
        return self._model

    def _forget(self) -> None:
        self._state = np.zeros((CLASSES, self._model.state if self._model else 0), np.float32)
        self._warm_in = WARM_UP_TICKS

    def _failed(self, why: str) -> None:
        self.fault = why
        self.failures += 1
        self._strikes += 1
        if self._strikes >= STRIKES:
            self._rest, self._strikes = REST_TICKS, 0
        self._forget()
