"""What goes wrong around the ONNX backend: one clear message each, and nothing has moved."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.backend import Session
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.nets import NET, Data, batch, mlp, spec
from fac_onnx.device import session as load

LDFA = spec(NET, {"rule": "ldfa", "rank": 2})
OTHER = spec(mlp(9, 3), {"rule": "fa"})
X, Y = batch()


def opened(data: Data = LDFA, state: Any = None) -> Session:
    return compile(data, "onnx").open(state, "cpu")


# -- states --------------------------------------------------------------------------------------------------


def test_a_state_of_another_spec_is_refused_by_name() -> None:
    state = compile(OTHER, "onnx").open().state()
    message = (
        "the state belongs to another spec than `demo`: `out.feedback.B` is unknown; "
        "`fc1.weight` is [9, 5], not [8, 5]; `fc1.bias` is [9], not [8] and 7 more"
    )
    session = opened()
    before = session.state()
    for call in (lambda: opened(LDFA, state), lambda: session.load_state(state)):
        with pytest.raises(FacError) as refused:
            call()
        assert str(refused.value) == message
    assert all(np.array_equal(array, before[name]) for name, array in session.state().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc1.weight": np.zeros((8, 4))}, "`fc1.weight` is [8, 4], not [8, 5]"),
        ({"fc9.weight": np.zeros(1)}, "`fc9.weight` is unknown"),
        ({"fc1.bias": np.array(["a"] * 8)}, "`fc1.bias` holds <U1, not real numbers"),
        ({"step": np.array(-1)}, "`step` of the state has to be a whole number, not -1"),
    ],
)
def test_a_state_that_is_not_quite_one(change: Data, message: str) -> None:
    with pytest.raises(FacError) as refused:
        opened(LDFA, opened().state() | change)
    assert message in str(refused.value)


# -- batches -------------------------------------------------------------------------------------------------

BATCHES: dict[str, tuple[Any, Any, str]] = {
    "width": (X[:, :4], Y, "x has shape [7, 4], but `input.shape` asks for [N, 5], N > 0"),
    "rank": (
        X[0],
        Y,
        "x has shape [5], but `input.shape` asks for [N, 5], N > 0: one sample is a batch of one, `x[None]`",
    ),
    "none": (X[:0], Y[:0], "x has shape [0, 5], but `input.shape` asks for [N, 5], N > 0"),
    "text": (X.astype(str), Y, "`x` holds <U32, not real numbers"),
    "complex": (X + 1j, Y, "`x` holds complex128, not real numbers"),
    "objects": (X.astype(object), Y, "`x` holds object, not real numbers"),
    "fewer labels": (X, Y[:3], "y has to hold 7 whole-number labels, not int64 of shape [3]"),
    "float labels": (X, Y + 0.5, "y has to hold 7 whole-number labels, not float64 of shape [7]"),
    "one-hot labels": (X, np.eye(3)[Y], "y has to hold 7 whole-number labels, not float64 of shape [7, 3]"),
    "no class": (X, np.where(np.arange(7) == 4, 3, Y), "label 3 of sample 4 is not in 0..2"),
}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("what", BATCHES)
def test_a_batch_that_does_not_fit(what: str, precision: Any) -> None:
    x, y, message = BATCHES[what]
    session = compile(LDFA, "onnx", precision).open(device="cpu")
    before = session.state()
    calls: list[Callable[[], Any]] = [
        lambda: session.step(x, y),
        lambda: session.evaluate(x, y),
        lambda: session.probe(x, y),
    ]
    if message.startswith(("x", "`x`")):
        calls.append(lambda: session.forward(x))
    for call in calls:
        with pytest.raises(FacError) as refused:
            call()
        assert str(refused.value) == message
    assert all(np.array_equal(array, before[name]) for name, array in session.state().items())


def test_targets_of_another_shape() -> None:
    session = opened(spec(NET, loss="mse"))
    for y in (np.zeros((7, 2)), np.zeros(7), np.zeros((6, 3))):
        with pytest.raises(FacError) as refused:
            session.step(X, y)
        assert str(refused.value) == f"y has shape {list(y.shape)}, but the loss asks for [7, 3]"


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "bool", "float16", "float32", "float64"])
def test_any_real_numbers_are_samples(dtype: str) -> None:
    """And lie in memory as they like: images are often uint8, and slices are not contiguous."""
    x = np.asfortranarray(np.round(abs(3 * X)).astype(dtype))[::-1]
    for precision in ("float32", "float64"):
        found = compile(LDFA, "onnx", precision).open(device="cpu").forward(x)
        expected = compile(LDFA, "reference").open().forward(x)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


# -- files ---------------------------------------------------------------------------------------------------


def test_model_files_that_are_none(tmp_path: Path) -> None:
    compile(LDFA, "onnx").write(tmp_path)
    whole = (tmp_path / "forward.onnx").read_bytes()
    for name, content in {
        "cut.onnx": whole[:-1],
        "half.onnx": whole[: len(whole) // 2],
        "empty.onnx": b"",
        "text.onnx": b"no model at all",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FacError) as refused:
            load(str(path), "cpu")
        message = str(refused.value)
        assert message.startswith(
            f"onnxruntime cannot load the model `{path}`, which may be damaged or incomplete: "
        )
        assert "\n" not in message
    for path in (tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(FacError, match="cannot load the model"):
            load(str(path), "cpu")
    with pytest.raises(FacError, match=r"^onnxruntime cannot load the model: "):
        load(whole[:-1], "cpu")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    """Below a file, where not even root can write."""
    file = tmp_path / "file"
    file.write_text("mine")
    for folder in (file, file / "below"):
        with pytest.raises(FacError, match=f"^`{file}` is a file, where a folder is needed: name another$"):
            compile(LDFA, "onnx").write(folder)
    state = opened().state()
    with pytest.raises(FacError, match=f"^`{file}` is a file, where a folder is needed: name another$"):
        compile(LDFA, "onnx").export(state, file / "model.onnx", "cpu")
    assert (file.read_text(), list(tmp_path.iterdir())) == ("mine", [file])


# -- packages that are missing -------------------------------------------------------------------------------


def test_compiling_needs_no_onnxruntime(tmp_path: Path) -> None:
    """In a process of its own, where it cannot be imported."""
    program = f"""
        import sys

        sys.modules["onnxruntime"] = None
        from fac.pipeline import compile

        compile({LDFA!r}, "onnx").write({str(tmp_path)!r})
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / "step.onnx").exists()
