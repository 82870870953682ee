"""Bad arrays for a network with several inputs and targets: which of them, and what to do about it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fac.backend import Array
from fac.diagnostics import FacError
from fac.pipeline import compile, compiled, lowered
from fac.testing.nets import Data, linear
from fac.training.dataset import Dataset, Split
from fac.training.fitting import fitted

N = 6
SPEC: Data = {
    "fac": 1,
    "name": "two",
    "inputs": {
        "left": {"shape": (4,)},
        "map": {"shape": (2, 3, 4)},
        "words": {"shape": (5,), "classes": 7},
        "kept": {"shape": (5,), "mask": True},
    },
    "layers": (
        {"kind": "embedding", "name": "e", "num_embeddings": 7, "out": 4, "from": "words"},
        {"kind": "mean", "name": "text", "axes": (0,), "mask": "kept"},
        {"kind": "flatten", "name": "flat", "from": "map"},
        {"kind": "concat", "name": "all", "from": ("left", "text", "flat")},
        linear("out", 3),
        linear("side", 1, **{"from": "all"}),
    ),
    "losses": (
        {"kind": "cross_entropy", "of": "out", "target": "label"},
        {"kind": "bce", "of": "side", "target": "share"},
    ),
    "update": {"rule": "sgd", "lr": 0.1},
}


def arrays(n: int = N) -> dict[str, Any]:
    return {
        "left": np.ones((n, 4)),
        "map": np.ones((n, 2, 3, 4)),
        "words": np.ones((n, 5), int),
        "kept": np.ones((n, 5)),
        "label": np.ones(n, int),
        "share": np.full((n, 1), 0.5),
    }


def put(name: str, value: float) -> dict[str, Any]:
    """One number of the third sample is another."""
    array = arrays()[name]
    array[2, ...] = value
    return {name: array}


SPLIT = "the `train` split of `toy`"
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an input of another width": (
        {"left": np.ones((N, 3))},
        f"samples of `left` in {SPLIT} have shape [3], but `inputs.left.shape` is [4]: write `inputs.left: "
        "{shape: [3]}`",
    ),
    "an input with its axes in another order": (
        {"map": np.ones((N, 3, 4, 2))},
        f"samples of `map` in {SPLIT} have shape [3, 4, 2], but `inputs.map.shape` is [2, 3, 4]: if only the axes are "
        "in another order, store `map.transpose(0, 3, 1, 2)`; else write `inputs.map: {shape: [3, 4, 2]}` or `[24]`",
    ),
    "an input of one number": (
        {"left": np.ones(N)},
        f"samples of `left` in {SPLIT} have shape [], but `inputs.left.shape` is [4]: give each sample 4 numbers",
    ),
    "a mask of other places": (
        {"kept": np.ones((N, 6))},
        f"samples of `kept` in {SPLIT} have shape [6], but `inputs.kept.shape` is [5]: give a mask of each place, or "
        "write `inputs.kept: {shape: [6]}`",
    ),
    "a mask of halves": (
        put("kept", 0.5),
        f"kept of sample 2 in {SPLIT} holds 0.5: a mask holds 0 and 1 only",
    ),
    "what is not finite": (
        put("left", np.nan),
        f"left of sample 2 in {SPLIT} holds nan at [0]: remove or replace values that are not finite in float64",
    ),
    "a word that there is not": (
        put("words", 7),
        f"words 7 of sample 2 in {SPLIT} is out of range: `inputs.words.classes` allows 0 to 6",
    ),
    "a label that there is not": (
        put("label", 3),
        f"label 3 of sample 2 of `label` in {SPLIT} is out of range: what `losses[0]` reads has 3 outputs, so labels "
        "must be 0 to 2",
    ),
    "a target out of bounds": (
        put("share", 1.5),
        f"target 1.5 of sample 2 of `share` in {SPLIT} is out of range: `bce` needs targets from 0 to 1",
    ),
    "a target of another width": (
        {"share": np.ones((N, 2))},
        f"share in {SPLIT} has shape [{N}, 2], but what `losses[1]` reads has 1 output: give targets of shape (n, 1)",
    ),
    "another number of rows": (
        {"share": np.ones((N - 1, 1))},
        f"{SPLIT} has {N} samples in left but {N - 1} in share: give each left exactly one share",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_an_array_that_does_not_fit_is_told_by_name_with_a_remedy(case: str) -> None:
    changed, message = BAD[case]
    data = Dataset("toy", Split(**arrays() | changed), Split(**arrays()))
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fitted(data, compiled(lowered(SPEC)).feeds, "float64")


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (np.ones((N, 3, 3, 2)), "give samples of that shape, or of 24 numbers in a row"),
        (np.ones(N), "give samples of that shape, or of 24 numbers in a row"),
        (
            np.ones((N, 3, 4, 2)),
            "if only the axes are in another order, store `map.transpose(0, 3, 1, 2)`; else give samples of that "
            "shape, or of 24 numbers in a row",
        ),
    ],
)
def test_nobody_is_told_to_change_what_a_trained_network_reads(value: Array, remedy: str) -> None:
    data = Dataset("toy", Split(**arrays() | {"map": value}), Split(**arrays()))
    message = (
        f"samples of `map` in {SPLIT} have shape {list(value.shape[1:])}, but the network was trained to read "
        f"[2, 3, 4]: {remedy}"
    )
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        fitted(data, compiled(lowered(SPEC)).feeds, "float64", trained=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("label", 3, "label 3 of sample 2 of `label` is not in 0..2"),
        ("share", 1.5, "target 1.5 of sample 2 of `share` is not in [0, 1]"),
    ],
)
def test_a_session_tells_it_too(name: str, value: float, message: str) -> None:
    session = compile(SPEC, "reference").open()
    with pytest.raises(FacError, match=f"^{re.escape(message)}$"):
        session.step(arrays() | put(name, value))
