"""Files that were exported for one sample: read as networks for any, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

import fac
from fac.importing import from_onnx
from tests.importing.onnx_models import draw, model, node, written


def fixed(made: ModelProto, *sizes: int) -> ModelProto:
    made.graph.input[0].CopyFrom(helper.make_tensor_value_info("in", TensorProto.FLOAT, sizes))
    return made


def tokens(*more: Any) -> ModelProto:
    """[1, 2, 2, 3] as tokens behind a class token, of which the first is read."""
    nodes = [
        node("Reshape", "in parts", "t"),
        node("Concat", "cls t", "c", axis=1),
        *more,
        node("Add", "c places", "p"),
        node("Gather", "p zero", "s", axis=1),
        node("MatMul", "s w", "out"),
    ]
    arrays = {
        "parts": [1, 4, 3],
        "cls": draw(1, 1, 3),
        "places": draw(1, 5, 3),
        "zero": 0,
        "w": draw(3, 2),
    }
    return fixed(model(nodes, arrays, [2, 2, 3]), 1, 2, 2, 3)


def test_a_batch_of_one_becomes_one_of_any_size(tmp_path: Path) -> None:
    made = tokens()
    found = from_onnx(written(tmp_path, made))
    kinds = [layer["kind"] for layer in found.spec["layers"]]
    assert kinds == ["reshape", "class_token", "positional_embedding", "select", "linear"]
    x = draw(3, 2, 2, 3, seed=4)
    alone = [ReferenceEvaluator(made).run(None, {"in": one[None]}) for one in x]
    wanted = [np.asarray(output) for (output,) in alone]
    session = fac.compile(found.spec, "reference", "float64").open(found.state, derive=True)
    np.testing.assert_allclose(session.forward(x), np.concatenate(wanted), rtol=1e-5, atol=1e-6)


def test_where_the_number_means_something_else(tmp_path: Path) -> None:
    """Of one sample [2, 3] seen as [1, 6], and of three, which would be [3, 2, 1, 3]: not the first axis is meant."""
    nodes = [
        node("Reshape", "in turned", "t"),
        node("Transpose", "t", "u", perm=[1, 0, 2]),
        node("Reshape", "u flat", "f"),
        node("MatMul", "f w", "out"),
    ]
    arrays = {"turned": [2, 1, 3], "flat": [1, 6], "w": draw(6, 2)}
    made = fixed(model(nodes, arrays, [2, 3]), 1, 2, 3)
    with pytest.raises(fac.FacError, match="batch"):
        from_onnx(written(tmp_path, made))


def test_samples_that_are_mixed_where_there_are_several(tmp_path: Path) -> None:
    """The mean over the batch is that of the sample where there is one, and says nothing where there are several."""
    nodes = [
        node("ReduceMean", "in", "m", axes=[0], keepdims=1),
        node("Sub", "in m", "s"),
        node("Add", "s in", "a"),
        node("MatMul", "a w", "out"),
    ]
    made = fixed(model(nodes, {"w": draw(3, 2)}, [3]), 1, 3)
    with pytest.raises(
        fac.FacError, match="the batch of the file is fixed at 1, and how it would be another one"
    ):
        from_onnx(written(tmp_path, made))
