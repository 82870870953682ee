"""What solve rules and inverses of layers say is true, and one that lies is caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from fac.backend import Solved, Solving
from fac.layers.convolution import CONV2D, Conv2d
from fac.layers.elementwise import RELU, TANH, Relu, Tanh
from fac.layers.linear import LINEAR, Linear
from fac.layers.shapes import FLATTEN
from fac.layers.softmax import SOFTMAX, Softmax
from fac.plugins import kinds
from fac.program.kinds import Back, Inverse, LayerKind, SolveKind, Unsolvable
from fac.program.lower import kind_of
from fac.program.program import Program, Shape
from fac.program.tensors import Tensor
from fac.solve.zorb import ZORB, Zorb
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.testing import check_declarations

SOLVES = {kind.name: kind for kind in kinds("fac.solve") if isinstance(kind, SolveKind)}


@pytest.mark.parametrize("name", SOLVES)
def test_every_rule_says_the_truth(name: str) -> None:
    check_declarations(SOLVES[name])


WAYS: dict[str, tuple[LayerKind, Any, Shape]] = {
    "linear, narrower": (LINEAR, Linear(out=4), (6,)),
    "linear, wider": (LINEAR, Linear(out=9), (6,)),
    "linear without a bias": (LINEAR, Linear(out=6, bias=False), (6,)),
    "linear of tokens": (LINEAR, Linear(out=4), (3, 6)),
    "windows that tell all": (CONV2D, Conv2d(out=13, kernel=(2, 3)), (2, 4, 5)),
    "windows that overlap": (CONV2D, Conv2d(out=3, kernel=2), (2, 4, 5)),
    "windows of one place": (CONV2D, Conv2d(out=3, kernel=1), (4, 4, 5)),
    "one window": (CONV2D, Conv2d(out=3, kernel=(4, 5)), (2, 4, 5)),
    "softmax of channels": (SOFTMAX, Softmax(axis=0), (4, 3)),
}


@pytest.mark.parametrize("name", WAYS)
def test_there_and_back(name: str) -> None:
    """The kinds that stand in `test_declarations`, with settings that its one case has not."""
    kind, layer, shape = WAYS[name]
    check_declarations(kind, layer, (shape,))


def inverted(kind: LayerKind, **changes: Any) -> LayerKind:
    """The kind, whose inverse says something else."""
    of = kind.inverse
    assert of is not None
    return replace(kind, inverse=lambda layer, shapes: replace(of(layer, shapes), **changes))


def without_bias(b: Builder, targets: Value, seen: Back) -> Value:
    assert seen.inverse is not None
    return b.matmul(targets, seen.inverse)


def doubled(b: Builder, x: Value) -> Value:
    return b.mul(x, 2.0)


LAYERS: dict[str, tuple[LayerKind, Any, str]] = {
    "a bias that stays": (
        inverted(LINEAR, back=without_bias),
        Linear(out=6),
        "what it read comes back wrong",
    ),
    "of fewer outputs": (inverted(LINEAR, back=without_bias), Linear(out=4), "what `linear` makes of what"),
    "twice the features": (inverted(LINEAR, rows=doubled), Linear(out=6), "beside weight times rows"),
    "another shape": (inverted(LINEAR, back=lambda b, t, _: t), Linear(out=4), "and the layer reads"),
    "a sign": (inverted(RELU, back=lambda b, t, _: b.neg(t)), Relu(), "what `relu` makes of what"),
    "a range of its own": (
        inverted(TANH, back=lambda b, t, _: t),
        Tanh(),
        "`tanh` takes its range from the targets: an affine map",
    ),
    "one that changes numbers": (inverted(RELU, moves=True), Relu(), "moves numbers alone"),
    "rows without a weight": (inverted(RELU, rows=doubled), Relu(), "and no weight"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_whose_inverse_is_none_is_caught(name: str) -> None:
    kind, layer, said = LAYERS[name]
    with pytest.raises(AssertionError, match=said):
        check_declarations(kind, layer)


def test_numbers_that_come_back_elsewhere_are_caught() -> None:
    turned = replace(
        FLATTEN,
        inverse=lambda layer, shapes: Inverse(
            lambda b, t, seen: b.reshape(
                b.transpose(b.reshape(t, (t.type.shape[0], *shapes[0][::-1])), (0, 2, 1)),
                seen.input.type.shape,
            ),
            moves=True,
        ),
    )
    with pytest.raises(AssertionError, match="do not come back as they were"):
        check_declarations(turned, shapes=((2, 3),))


Run = Callable[[Zorb, Program, Solving, int], Iterator[Solved]]


def anew(run: Run) -> SolveKind:
    """ZORB, run in another way."""
    return replace(ZORB, run=run)


def twice(spec: Zorb, program: Program, solving: Solving, done: int) -> Iterator[Solved]:
    for solved in ZORB.run(spec, program, solving, done):
        yield solved
        yield solved


def first_block(spec: Zorb, program: Program, solving: Solving, done: int) -> Iterator[Solved]:
    """What comes of it depends on how samples are cut."""
    for solved in ZORB.run(spec, program, solving, done):
        block = next(iter(solving.rows(f"{solved.node}.equations")))
        weight = solving.read(f"{solved.node}.weight")
        solving.write({f"{solved.node}.weight": weight + block.mean()})
        yield solved


def forgets(spec: Zorb, program: Program, solving: Solving, done: int) -> Iterator[Solved]:
    """Going on begins from the start."""
    return ZORB.run(spec, program, solving, 0)


def touches(spec: Zorb, program: Program, solving: Solving, done: int) -> Iterator[Solved]:
    names = [node.weight.name for node in program.nodes if node.weight is not None and not node.learns]
    solving.write({name: 2 * solving.read(name) for name in names})
    return ZORB.run(spec, program, solving, done)


def miscounts(spec: Zorb, program: Program, solving: Solving, done: int) -> Iterator[Solved]:
    return (replace(solved, rows=solved.rows + 1) for solved in ZORB.run(spec, program, solving, done))


def keeps_parameters(spec: Zorb, program: Program) -> tuple[Tensor, ...]:
    return (*ZORB.kept(spec, program), *program.arrays[:1])


RULES: dict[str, tuple[SolveKind, str]] = {
    "each layer twice": (anew(twice), "says that it solves .* and solves"),
    "the first block": (anew(first_block), "finds something else with blocks of one sample"),
    "no going on": (anew(forgets), r"goes on after 1 layers with \['fc1', 'fc2', 'out'\]"),
    "a layer that is frozen": (anew(touches), "changes .*fc2.weight.*, of layers that it does not solve"),
    "one row too many": (anew(miscounts), "has 61 rows, and there are 60"),
    "parameters of its own": (replace(ZORB, kept=keeps_parameters), "which are parameters"),
    "nothing to solve": (
        replace(ZORB, misfits=lambda *_: (Unsolvable((), "nothing", "nothing"),)),
        "can solve none of the networks",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_lies_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, said = RULES[name]

    def found(group: str, spec: Any) -> Any:
        return kind if group == "fac.solve" else kind_of(group, spec)

    monkeypatch.setattr("fac.build.pieces.kind_of", found)
    with pytest.raises(AssertionError, match=said):
        check_declarations(kind)
