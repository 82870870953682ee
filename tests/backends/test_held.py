"""Numbers that a precision cannot hold, and arrays in another shape, are told at every door."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.diagnostics import FacError
from fac.testing.nets import linear, mlp, spec

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
X, Y = np.ones((4, 5)), np.array([0, 1, 2, 0])
LARGE = r"holds 1e\+39 at \[{}\], more than the 3\.4e\+38 that float32 reaches: use float64"


@BACKENDS
def test_what_float32_cannot_hold_is_refused(backend: str, tmp_path: Path) -> None:
    """As a state, as a batch, as targets, in an export; without a warning of NumPy. float64 takes it."""
    session = fac.compile(spec(mlp(8, 3)), backend, "float32").open()
    state, x = session.state(), X.copy()
    state = {name: array.astype(np.float64) for name, array in state.items() if name != "step"}
    state["fc1.weight"][3, 1] = x[2, 4] = 1e39
    regression = fac.compile(spec(mlp(8, 3), loss="mse"), backend, "float32").open()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FacError, match="`fc1.weight` " + LARGE.format("3, 1")):
            session.load_state(state)
        for call in (session.step, session.evaluate, session.probe):
            with pytest.raises(FacError, match="`x` " + LARGE.format("2, 4")):
                call(x, Y)
        with pytest.raises(FacError, match="`x` " + LARGE.format("2, 4")):
            session.forward(x)
        with pytest.raises(FacError, match="`y` " + LARGE.format("2, 2")):
            regression.step(X, x[:, 2:])
    exact = fac.compile(spec(mlp(8, 3)), backend, "float64").open()
    exact.load_state(state)
    assert exact.state()["fc1.weight"][3, 1] == 1e39


def test_so_is_a_file_of_it(tmp_path: Path) -> None:
    artifact = fac.compile(spec(mlp(8, 3)), "onnx", "float32")
    state = {name: array.astype(np.float64) for name, array in artifact.compiled.initial().items()}
    state["out.bias"][1] = 1e39
    with pytest.raises(FacError, match="`out.bias` " + LARGE.format("1")):
        artifact.export(state, tmp_path / "net.onnx")


@BACKENDS
def test_so_is_an_initial_value(backend: str, tmp_path: Path) -> None:
    wide = spec((linear("fc1", 8, init={"kind": "normal", "std": 1e40}), linear("out", 3)))
    artifact = fac.compile(wide, backend, "float32")
    for call in (artifact.open, lambda: artifact.write(tmp_path / "built")):
        with pytest.raises(
            FacError, match=r"`fc1\.weight` holds .* at \[0, 0\], more than .* that float32 reaches"
        ):
            call()


@BACKENDS
@pytest.mark.parametrize(
    ("shape", "given", "remedy"),
    [
        ((1, 8, 8), (6, 64), "x.reshape(-1, 1, 8, 8)"),
        ((64,), (6, 8, 8), "x.reshape(-1, 64)"),
        ((1, 8, 8), (6, 8, 8), "x.reshape(-1, 1, 8, 8)"),
        ((8, 4), (6, 4, 8), None),
        ((1, 8, 8), (64,), None),
    ],
)
def test_a_shape_that_fits_is_told_how(
    shape: tuple[int, ...], given: tuple[int, ...], remedy: str | None, backend: str
) -> None:
    """By the rule of training data, so that both doors agree on what may be read anew; placed or not."""
    data: dict[str, Any] = spec(({"kind": "flatten"}, linear("out", 3)), shape=shape)
    session = fac.compile(data, backend).open()
    x = np.ones(given, np.float32)
    for samples in (x, session.place(x)):
        with pytest.raises(FacError) as refused:
            session.forward(samples)
        text = str(refused.value)
        assert text.startswith(f"x has shape {list(given)}, but `input.shape` asks for [N, ")
        assert re.findall(r"give `(.*)`, which keeps each number's place", text) == (
            [remedy] if remedy else []
        )
    if remedy:
        assert session.forward(eval(remedy, {"x": x})).shape == (6, 3)
