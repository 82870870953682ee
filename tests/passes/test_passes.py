"""Each pass does what its docstring says, keeps the meaning of every function, and has nothing left to do after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fac.passes import PASSES, optimise
from fac.passes.common import share_common
from fac.passes.dead import drop_dead
from fac.passes.fold import fold_constants
from fac.step.builder import Builder
from fac.step.ir import Function
from fac.step.text import to_text
from fac.step.transform import Pass
from fac.step.types import N, Type
from fac.step.verify import verify
from fac_reference.interpreter import run
from tests.passes.functions import BY_PASS, drawn
from tests.passes.golden import matches

HERE = Path(__file__).parent
EACH = pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
SEEDS = range(40)


def outputs_of(function: Function) -> dict[str, object]:
    rng = np.random.default_rng(0)
    inputs = {"x": rng.standard_normal((5, 3)), "w": rng.standard_normal((3, 3)), "lr": 0.3}
    return run(function, inputs, np.dtype("float64"))


def test_every_pass_has_a_golden_pair() -> None:
    assert set(BY_PASS) == {step.name for step in PASSES}


@EACH
def test_golden(step: Pass[Function]) -> None:
    before = BY_PASS[step.name]()
    matches(HERE / f"{step.name}.before.ir", to_text(before))
    matches(HERE / f"{step.name}.after.ir", to_text(step.run(before)))


@EACH
@pytest.mark.parametrize("seed", SEEDS)
def test_meaning_is_kept(step: Pass[Function], seed: int) -> None:
    """To the bit: a pass moves no rounding."""
    before = drawn(seed)
    after = step.run(before)
    verify(after)
    expected, found = outputs_of(before), outputs_of(after)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@EACH
@pytest.mark.parametrize("seed", SEEDS)
def test_a_second_time_changes_nothing(step: Pass[Function], seed: int) -> None:
    once = step.run(drawn(seed))
    assert to_text(step.run(once)) == to_text(once)


def test_random_functions_give_every_pass_something_to_do() -> None:
    for step in PASSES:
        busy = [seed for seed in SEEDS if to_text(step.run(drawn(seed))) != to_text(drawn(seed))]
        assert len(busy) > len(SEEDS) // 2, step.name


@EACH
def test_the_function_that_is_given_stays_as_it_is(step: Pass[Function]) -> None:
    before = drawn(3)
    text, ops = to_text(before), before.ops
    step.run(before)
    assert before.ops is ops
    assert to_text(before) == text


@pytest.mark.parametrize("seed", SEEDS)
def test_all_passes_together(seed: int) -> None:
    seen: list[str] = []

    def after(step: Pass[Function], function: Function) -> None:
        verify(function)
        seen.append(step.name)

    function = optimise(drawn(seed), after=after)
    assert seen == [step.name for step in PASSES]
    keys = [(op.kind, op.operands, op.attributes) for op in function.ops]
    assert len(keys) == len(set(keys))
    read = {v for op in function.ops for v in op.operands} | {v for _, v in function.outputs}
    assert read.issuperset(op.result for op in function.ops)


@pytest.mark.parametrize("kind", ["add", "mul", "sub", "div", "pow"])
def test_neutral_operand_that_widens_is_kept(kind: str) -> None:
    """A [3] and a neutral number of shape [N, 3]: dropping the number would change the shape."""
    b = Builder()
    row = b.input("row", Type((3,)))
    b.input("x", Type((N, 3)))
    neutral = b.broadcast_to(b.constant(0.0 if kind in ("add", "sub") else 1.0), (N, 3))
    after = fold_constants(b.finish("f", {"y": b.emit(kind, row, neutral)}))
    verify(after)
    assert after.outputs[0][1].type.shape == (N, 3)


def test_zero_minus_x_is_not_x() -> None:
    b = Builder()
    x = b.input("x", Type((N, 3)))
    after = fold_constants(b.finish("f", {"y": b.sub(0.0, x), "z": b.div(1.0, x)}))
    assert [op.kind for op in after.ops] == ["constant", "sub", "constant", "div"]


def test_constants_of_different_types_are_not_shared() -> None:
    b = Builder()
    after = share_common(b.finish("f", {"f": b.constant(1.0), "i": b.constant(1)}))
    assert len(after.ops) == 2


def test_zeros_of_different_sign_are_not_shared() -> None:
    """0.0 == -0.0, but 1 / 0.0 and 1 / -0.0 lie far apart."""
    b = Builder()
    after = share_common(b.finish("f", {"plus": b.constant(0.0), "minus": b.constant(-0.0)}))
    assert [op["value"] for op in after.ops] == [0.0, -0.0]


def marked() -> Function:
    """A region whose outputs are both read, around repeated and foldable ops."""
    b = Builder()
    x = b.input("x", Type((N, 3)))
    twin, start = b.neg(x), b.mul(b.neg(x), 1.0)
    end = b.mul(start, 2.0)
    b.mark("double", {"start": start}, {"end": end}, {"factor": 2.0})
    return b.finish("f", {"y": b.add(end, twin)})


def test_regions_survive_and_follow_their_values() -> None:
    after = optimise(marked())
    verify(after)
    (region,) = after.regions
    assert (region.kind, region.attributes) == ("double", {"factor": 2.0})
    product = next(op for op in after.ops if op.kind == "mul")
    assert region.outputs["end"] is product.result
    assert region.inputs["start"] is product.operands[0]
    assert sum(op.kind == "neg" for op in after.ops) == 1


def test_a_region_goes_with_its_output() -> None:
    b = Builder()
    x = b.input("x", Type((N, 3)))
    end = b.neg(x)
    b.mark("minus", {"x": x}, {"end": end}, {})
    assert drop_dead(b.finish("f", {"x": x})).regions == ()
