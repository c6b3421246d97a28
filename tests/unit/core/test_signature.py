"""The model's signature, held against real ONNX files as ONNX Runtime describes them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from sentinel_api.errors import Invalid
from sentinel_core.signature import Widths, check

FLOAT = TensorProto.FLOAT
GOOD_INPUTS = {"x": ["C", 5], "valid": ["C"], "state": ["C", 8]}
GOOD_OUTPUTS = {"hazard": ["C", 10], "magnitude_bytes": ["C", 3], "demand": ["C", 4, 3], "next_state": ["C", 8]}


def model(inputs, outputs, types=None):
    """A runnable file with these ports: outputs are random numbers, for only the outside is looked at."""
    types = types or {}
    nodes = []
    for name, shape in outputs.items():
        kind = types.get(name, FLOAT)
        sizes = [16 if isinstance(size, str) else size for size in shape]
        nodes.append(helper.make_node("RandomUniform", [], [name], shape=sizes, dtype=kind))
    graph = helper.make_graph(
        nodes,
        "ports",
        [helper.make_tensor_value_info(name, types.get(name, FLOAT), shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, types.get(name, FLOAT), shape) for name, shape in outputs.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def session(inputs=None, outputs=None, types=None):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    raw = model(inputs or GOOD_INPUTS, outputs or GOOD_OUTPUTS, types)
    return onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])


def ports(loaded):
    return loaded.get_inputs(), loaded.get_outputs()


def changed(ports, **changes):
    return {name: shape for name, shape in {**ports, **changes}.items() if shape is not None}


def test_a_good_model_passes_and_tells_its_widths():
    assert check(*ports(session())) == Widths(features=5, state=8)


def test_a_good_model_runs_as_the_signature_says():
    loaded = session()
    fed = {"x": np.zeros((16, 5), np.float32), "valid": np.ones(16, np.float32), "state": np.zeros((16, 8), np.float32)}
    made = dict(zip([port.name for port in loaded.get_outputs()], loaded.run(None, fed), strict=True))
    assert made["demand"].shape == (16, 4, 3)
    assert {array.dtype for array in made.values()} == {np.dtype(np.float32)}


def test_the_number_of_classes_may_be_fixed_at_16():
    fixed = {name: [16, *shape[1:]] for name, shape in GOOD_INPUTS.items()}
    assert check(*ports(session(fixed))) == Widths(features=5, state=8)


@pytest.mark.parametrize(
    ("inputs", "outputs", "sentence"),
    [
        ({"valid": None}, {}, "no input valid"),
        ({}, {"hazard": None, "demand": None}, "no output demand, hazard"),
        ({"mask": ["C"]}, {}, "input mask that nobody serves"),
        ({}, {"mood": ["C"]}, "output mood that nobody serves"),
        ({"x": [12, 5]}, {}, r"input x of the model has shape \[12, 5\]: it must be \[C, F\]"),
        ({"x": ["C", "F"]}, {}, r"input x of the model has shape \[C, F\]"),
        ({"x": ["C", 5, 1]}, {}, r"shape \[C, 5, 1\]"),
        ({"valid": ["C", 1]}, {}, r"input valid of the model has shape \[C, 1\]: it must be \[C\]"),
        ({}, {"hazard": ["C", 9]}, r"output hazard of the model has shape \[16, 9\]: it must be \[C, 10\]"),
        ({}, {"demand": ["C", 3, 4]}, r"output demand of the model has shape \[16, 3, 4\]: it must be \[C, 4, 3\]"),
        ({}, {"next_state": ["C", 7]}, r"output next_state .* shape \[16, 7\]: it must be \[C, 8\]"),
        ({}, {"magnitude_bytes": [15, 3]}, r"magnitude_bytes of the model has shape \[15, 3\]"),
    ],
)
def test_a_model_of_another_shape_is_refused_in_one_sentence(inputs, outputs, sentence):
    loaded = session(changed(GOOD_INPUTS, **inputs), changed(GOOD_OUTPUTS, **outputs))
    with pytest.raises(Invalid, match=sentence) as refused:
        check(*ports(loaded))
    assert "must have" in str(refused.value) or "must be" in str(refused.value)


@pytest.mark.parametrize("name", ["x", "valid", "hazard"])
def test_a_model_of_another_type_is_refused(name):
    with pytest.raises(Invalid, match=rf"put {name} of the model is tensor\(double\): it must be tensor\(float\)"):
        check(*ports(session(types={name: TensorProto.DOUBLE})))


def test_the_state_cannot_keep_its_name_on_the_way_out():
    """Why the contract's output is called next_state."""
    with pytest.raises(onnx.checker.ValidationError):
        model(GOOD_INPUTS, {"state": ["C", 8]})
