"""Initial values are those of one stream, however many numbers are drawn at a time and whatever the array takes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.build import drawing
from fac.pipeline import compiled, lowered

WIDTH = 512
LARGEST = 4 * WIDTH * WIDTH
"""Bytes of the largest array in float32."""
BACKENDS = pytest.mark.parametrize("backend", ["torch", "onnx"])


def spec(init: Any = "kaiming_uniform", rule: str = "fa", width: int = 9, **feedback: Any) -> dict[str, Any]:
    return {
        "fac": 1,
        "name": "net",
        "input": {"shape": [width]},
        "layers": [
            {"kind": "linear", "name": name, "out": width, "init": init} for name in ("a", "b", "c", "d")
        ],
        "loss": {"kind": "mse"},
        "feedback": {"rule": rule, **feedback},
        "update": {"rule": "sgd", "lr": 0.1, "momentum": 0.9},
    }


INITS = [
    "kaiming_uniform",
    "xavier_normal",
    "orthogonal",
    {"kind": "normal", "std": 0.3},
    {"kind": "uniform", "bound": 0.2},
]


@pytest.mark.parametrize("init", INITS, ids=str)
@pytest.mark.parametrize("feedback", [{}, {"mask": {"density": 0.4}}, {"mask": {"per_unit": 4}}], ids=str)
def test_the_numbers_do_not_depend_on_how_many_are_drawn_at_a_time(
    init: Any, feedback: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "dfa" if feedback else "fa"
    made = compiled(lowered(spec(init, rule, **feedback)))
    whole = dict(made.initial())
    monkeypatch.setattr(drawing, "PIECE", 7)
    parts, short = dict(made.initial()), made.initial(precision="float32")
    for name, array in whole.items():
        assert array.tobytes() == parts[name].tobytes(), name
        assert array.astype(np.float32).tobytes() == short[name].tobytes(), name


def test_what_is_asked_for_anew_is_drawn_anew() -> None:
    initial = compiled(lowered(spec())).initial()
    first = initial["a.weight"].copy()
    initial["a.weight"][:] = 0
    assert np.array_equal(initial["a.weight"], first)


def test_factors_of_one_weight_belong_together_in_any_order() -> None:
    initial = compiled(
        lowered(spec() | {"feedback": {"rule": "ldfa", "rank": 2, "learn": "normative"}})
    ).initial()
    names = [name for name in initial if name.endswith(".feedback.P")]
    for name in reversed(names):
        p, q = initial[name], initial[name.replace(".P", ".Q")]
        left, sizes, right = np.linalg.svd(initial[name.replace("feedback.P", "weight")].T)
        best = (left[:, :2] * sizes[:2]) @ right[:2]
        np.testing.assert_allclose(q @ p, best, rtol=0, atol=1e-12)


def traced(call: Any) -> int:
    """The most bytes that arrays of NumPy took beyond what was there before."""
    call()  # what is imported, cached and compiled once
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@BACKENDS
def test_opening_a_session_holds_one_array_beside_the_state(backend: str) -> None:
    artifact = fac.compile(spec(width=WIDTH), backend, "float32")
    assert traced(artifact.open) < 1.3 * LARGEST + 2 * 8 * drawing.PIECE


@BACKENDS
def test_writing_an_artifact_holds_one_array(backend: str, tmp_path: Path) -> None:
    artifact = fac.compile(spec(width=WIDTH), backend, "float32")
    if backend == "onnx":
        artifact.parameters = (
            "inputs"  # as constants they are in the file of the model, which is made in memory
        )
    places = iter(
        "ab"
    )  # a new folder each time: of one that is there a journal is read, with room for the longest
    assert traced(lambda: artifact.write(tmp_path / next(places))) < 1.3 * LARGEST + 2 * 8 * drawing.PIECE
