"""Gradients of what several layers share: one product of the rows of all, which lie where each statement wrote them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.pipeline import compile
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import N, Type
from fac.testing.case import distance
from fac.testing.nets import Data, Layers, answers, batches, linear, spec
from fac_reference.interpreter import run
from fac_torch.emit import Emitter
from tests.backends.test_torch_ops import emitted
from tests.backends.test_torch_ops import placed as tensor

STEPS, READS, WIDTH = 6, 4, 5
TOLERANCE = 1e-12


def step_of(data: Data) -> str:
    artifact: Any = compile(data, backend="torch")
    text: str = artifact.source
    return text[text.index("def step(") : text.index("def forward(")]


def recurrent(kind: str = "rnn", **fields: Any) -> Layers:
    mean = ({"kind": "mean", "axes": (0,)},) if fields.get("gather") else ()
    return ({"kind": kind, "name": "r", "out": WIDTH, **fields}, *mean, linear("out", 3))


@pytest.mark.parametrize("kind", ["rnn", "gru"])
def test_one_product_makes_the_gradient_of_a_recurrent_weight(kind: str) -> None:
    """Whatever the number of steps; and one sum that of its bias."""
    text = step_of(spec(recurrent(kind), shape=(STEPS, READS)))
    assert text.count("kernels.sgd_outer(") == 3, "of `r.ih`, `r.0.hh` and `out`"
    assert text.count("torch.sum(") == 3
    assert ".T, r_" not in text, "no product with an error, turned, beside these"
    assert text.count("kernels.copied(") == 1, (
        "the state before the first step, which no kernel can be told to write"
    )


def test_parts_are_looked_at_where_they_lie() -> None:
    text = step_of(spec(recurrent("gru"), shape=(STEPS, READS)))
    assert "crop(" not in text
    assert "pad(" not in text


LEARNED = {"rule": "ldfa", "rank": 2}
TWICE: Layers = (
    {"kind": "repeat", "name": "r", "times": 3, "tie": True, "body": [linear("fc", WIDTH), {"kind": "tanh"}]},
    {"kind": "repeat", "name": "q", "times": 3, "tie": True, "body": [linear("fc", WIDTH), {"kind": "tanh"}]},
    linear("out", 3),
)
SAME: Layers = (
    linear("a", WIDTH),
    {"kind": "tanh", "name": "h"},
    {**linear("b", WIDTH), "from": "h"},
    {**linear("c", WIDTH), "from": "h", "tie": "b"},
    {"kind": "multiply", "from": ["b", "c"]},
    linear("out", 3),
)
GIVEN: Layers = (
    linear("a", WIDTH),
    {**linear("b", WIDTH), "from": "input", "tie": "a"},
    {"kind": "multiply", "from": ["a", "b"]},
    linear("out", 3),
)
CLIPPED = {"rule": "adam", "lr": 0.01, "clip": {"by": "norm", "at": 0.5}}
SPECS: dict[str, tuple[Data, tuple[int, ...]]] = {
    "rnn": (spec(recurrent(), shape=(STEPS, READS)), (STEPS, READS)),
    "gru": (spec(recurrent("gru", gather=True), shape=(STEPS, READS)), (STEPS, READS)),
    "low rank": (spec(recurrent("gru"), LEARNED, shape=(STEPS, READS)), (STEPS, READS)),
    "norm of all": (spec(recurrent("gru"), LEARNED, CLIPPED, shape=(STEPS, READS)), (STEPS, READS)),
    "two repeats": (spec(TWICE, LEARNED, shape=(WIDTH,)), (WIDTH,)),
    "the same rows twice": (spec(SAME, shape=(READS,)), (READS,)),
    "rows from outside": (spec(GIVEN, shape=(READS,)), (READS,)),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_step_is_that_of_the_reference(name: str) -> None:
    """Over several steps and sizes of a batch, so that nothing is read that another has been written over."""
    data, shape = SPECS[name]
    given = batches(7, 3, 7, 5, shape=shape)
    expected, found = (
        answers(compile(data, backend=backend, precision="float64").open(), given)
        for backend in ("reference", "torch")
    )
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert distance(found[key], value) < TOLERANCE, key


@pytest.mark.parametrize("terms", ["products", "products and others", "sums", "shared product"])
def test_a_sum_is_what_it_was(terms: str) -> None:
    """Also where not all terms can be one, where a term is read elsewhere, and where rows are those of an input."""
    b = Builder()
    b.input("state", Type((1,)))
    rows = {name: b.emit("tanh", b.input(name, Type((N, 3)))) for name in "abcd"}
    x = b.input("x", Type((N, 3)))
    products = [
        b.matmul(rows[one], other, ta=True) for one, other in zip("abcd", (x, rows["a"], x, x), strict=True)
    ]
    extra = b.emit("tanh", b.input("w", Type((3, 3))))
    total: Value
    outputs: dict[str, Value] = {}
    if terms == "sums":
        first, *others = (b.sum(value, (0,)) for value in (*rows.values(), x))
    elif terms == "products and others":
        first, *others = (extra, products[0], b.mul(extra, extra), *products[1:])
    else:
        first, *others = products
    total = first
    for other in others:
        total = b.add(total, other)
    if terms == "shared product":
        outputs["first"] = b.sum(products[0], (0, 1))
    function = b.finish("step", {**outputs, "total": total})
    rng = np.random.default_rng(0)
    given = {name: rng.standard_normal((7, 3)) for name in "abcdx"} | {
        "w": rng.standard_normal((3, 3)),
        "state": np.zeros(1),
    }
    expected = run(function, given, np.dtype("float64"))
    found = emitted(function, True)(
        {n: tensor(v, "float64", "cpu") for n, v in given.items() if n != "x"},
        tensor(given["x"], "float64", "cpu"),
    )
    for key, value in expected.items():
        got = found[key] if isinstance(found, dict) else found
        np.testing.assert_allclose(got, value, rtol=TOLERANCE, atol=TOLERANCE)
    kinds = [line.kind for line in Emitter(function, True).lines]
    assert kinds.count("stacked") == (1 if terms == "sums" else 2)
