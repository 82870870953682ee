"""The builder: names, places of origin, shorthands for constants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.step.builder import Builder
from fac.step.ir import Origin, Phase
from fac.step.text import to_text
from fac.step.types import SCALAR, DType, N, Type, TypeRuleError
from fac.step.verify import verify
from fac_reference.interpreter import run
from tests.passes.golden import matches

X = Type((N, 3))


def test_names_are_unique_whatever_is_asked_for() -> None:
    b = Builder()
    x = b.input("x", X)
    for name in ("a", "a.1", "a", "a", "a.1", "x", "neg"):
        b.named(b.neg(x), name)
    b.neg(x)
    names = [value.name for value in b.inputs] + [op.result.name for op in b.ops]
    assert len(names) == len(set(names))
    assert names[:3] == ["x", "a", "a.1"]
    verify(b.finish("f", {}))


def test_input_names_are_public_and_must_be_new() -> None:
    b = Builder()
    b.input("x", X)
    with pytest.raises(AssertionError, match="two inputs are called x"):
        b.input("x", X)


def test_named_changes_the_name_of_any_value_and_nothing_else() -> None:
    b = Builder()
    x = b.input("x", X)
    first, second = b.neg(x), b.neg(x)
    b.mark("minus", {"x": x}, {"y": first}, {})
    assert b.named(first, "late") is first
    assert [op.result for op in b.ops] == [first, second]
    assert [op.result.name for op in b.ops] == ["late", "neg.1"]
    verify(b.finish("f", {"y": first}))


def test_named_keeps_the_first_name() -> None:
    b = Builder()
    value = b.named(b.neg(b.input("x", X)), "first")
    assert b.named(value, "second") is value
    assert value.name == "first"


def test_named_leaves_inputs_alone() -> None:
    b = Builder()
    x = b.input("x", X)
    assert b.named(x, "y") is x


def test_origin_nests() -> None:
    b = Builder()
    x = b.input("x", X)
    with b.at("outer", Phase.ERROR):
        with b.at("inner", Phase.LEARN):
            b.neg(x)
        b.label(b.neg(x), "turned")
    b.neg(x)
    assert [op.origin for op in b.ops] == [
        Origin("inner", Phase.LEARN),
        Origin("outer", Phase.ERROR),
        Origin("", Phase.FORWARD),
    ]
    assert [op.result.name for op in b.ops] == ["inner.neg", "outer.turned", "neg"]


def test_origin_is_restored_after_an_error() -> None:
    b = Builder()
    x = b.input("x", X)
    with pytest.raises(TypeRuleError), b.at("outer", Phase.ERROR):
        b.matmul(x, x)
    b.neg(x)
    assert b.ops[-1].origin.node == ""


def test_numbers_become_constants() -> None:
    b = Builder()
    x = b.input("x", X)
    b.mul(2, x)
    assert [op.kind for op in b.ops] == ["constant", "mul"]
    assert b.ops[0]["value"] == 2.0
    assert b.ops[0].result.type == SCALAR
    assert b.constant(3).type == Type((), DType.INT)


def test_nothing_is_emitted_for_what_is_so_already() -> None:
    b = Builder()
    x = b.input("x", X)
    assert b.reshape(x, (N, 3)) is b.broadcast_to(x, (N, 3)) is b.cast(x, DType.FLOAT) is x
    assert b.ops == []


def test_count_knows_the_batch_at_run_time_only() -> None:
    b = Builder()
    b.count((2, 3))
    assert [op["value"] for op in b.ops] == [6.0]
    b.count((N, 3))
    assert [op.kind for op in b.ops[1:]] == ["batch_size", "constant", "mul"]


def test_text_form() -> None:
    """One op per line; types, attributes, origins; false attributes are left out."""
    b = Builder()
    x, w = b.input("x", X), b.input("w", Type((2, 3)))
    step = b.scalar("step", DType.INT)
    with b.at("fc1", Phase.FORWARD):
        h = b.named(b.matmul(x, w, tb=True), "fc1")
        total = b.sum(h, (0,), keep=True)
    wide = b.mul(b.broadcast_to(total, (N, 2)), 1e-30)
    flags = b.less(b.cast(step, DType.FLOAT), wide)
    function = b.finish("demo", {"flags": flags, "w": w})
    matches(Path(__file__).with_name("text.ir"), to_text(function))


@pytest.mark.parametrize(
    "values", [2.5, [1.0, 2.0], ((1, 2, 3), (4, 5, 6)), np.arange(24.0).reshape(2, 3, 4) / 7, np.float64(0.1)]
)
def test_an_array_is_what_was_given(values: Any) -> None:
    b = Builder()
    made = b.array(values)
    assert made.type == Type(np.shape(values))
    b.input("x", Type((N, 1)))
    found = run(b.finish("array", {"a": b.mul(made, 2.0)}), {"x": np.zeros((3, 1))}, np.dtype("float64"))["a"]
    np.testing.assert_array_equal(found, 2 * np.asarray(values, float))


@pytest.mark.parametrize("values", [[], [[1.0], [2.0, 3.0]], [[1.0], 2.0], [[], []], np.zeros((0, 3))])
def test_no_array(values: Any) -> None:
    with pytest.raises(TypeRuleError, match="an array has rows of one length, and at least one number"):
        Builder().array(values)


def test_the_short_names_are_the_ops() -> None:
    b = Builder()
    x, index = b.input("x", Type((N, 4))), b.input("y", Type((N,), DType.INT))
    made = [
        b.where(b.less(x, 0.0), x, 1.0),
        *(b.abs(x), b.sign(x), b.round(x)),
        b.concat(x, x, axis=1),
        b.pad(x, (0, 1), (0, 2)),
        b.crop(x, (0, 1), (0, 2)),
        b.gather(b.array([[1.0, 2.0]]), index),
    ]
    assert [b.made[value].kind for value in made] == [
        "where", "abs", "sign", "round", "concat", "pad", "crop", "gather",
    ]  # fmt: skip
    assert [value.type.shape[1:] for value in made[4:]] == [(8,), (7,), (1,), (2,)]
