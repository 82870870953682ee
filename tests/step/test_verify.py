"""The verifier refuses each kind of broken function."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fac.step.builder import Builder
from fac.step.ir import Function, Op, Origin, Phase, Region, Value
from fac.step.types import N, Type
from fac.step.verify import VerifyError, verify

X = Type((N, 3))


def sound() -> Function:
    """Y = -(-x)."""
    b = Builder()
    x = b.input("x", X)
    first = b.named(b.neg(x), "first")
    return b.finish("f", {"y": b.named(b.neg(first), "second")})


def refused(function: Function, message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify(function)


def test_a_sound_function_passes() -> None:
    verify(sound())


def test_read_before_definition() -> None:
    function = sound()
    refused(replace(function, ops=function.ops[::-1]), "`second` reads `first` before it is defined")


def test_read_of_a_value_that_nobody_makes() -> None:
    function = sound()
    refused(replace(function, ops=function.ops[1:]), "`second` reads `first` before it is defined")


def test_equal_looks_are_not_identity() -> None:
    """A value of the same name and type is another value."""
    function = sound()
    twin = Value("first", X)
    broken = replace(function.ops[1], operands=(twin,))
    refused(replace(function, ops=(function.ops[0], broken)), "reads `first` before it is defined")


def test_defined_twice() -> None:
    function = sound()
    refused(replace(function, ops=(*function.ops, function.ops[0])), "`first` is defined twice")


def test_one_name_for_two_values() -> None:
    function = sound()
    other = Op("neg", (function.inputs[0],), (), Value("first", X), Origin("", Phase.FORWARD))
    refused(replace(function, ops=(*function.ops, other)), "`first` is defined twice")


def test_two_inputs_of_one_name() -> None:
    refused(Function("f", (Value("x", X), Value("x", X)), (), ()), "`x` is defined twice")


def test_type_that_the_op_does_not_make() -> None:
    function = sound()
    wrong = replace(function.ops[1], result=Value("second", Type((N, 4))))
    broken = replace(function, ops=(function.ops[0], wrong), outputs=(("y", wrong.result),))
    refused(broken, r"`second` is f\[N, 4\], its op makes f\[N, 3\]")


def test_output_of_a_value_that_nobody_makes() -> None:
    refused(replace(sound(), outputs=(("y", Value("z", X)),)), "output `y` reads `z`")


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_region_around_a_value_that_nobody_makes(side: str) -> None:
    ends: dict[str, dict[str, Value]] = {"inputs": {}, "outputs": {}, side: {"v": Value("z", X)}}
    region = Region("kernel", ends["inputs"], ends["outputs"], {})
    refused(replace(sound(), regions=(region,)), "region `kernel` reads `z`")
