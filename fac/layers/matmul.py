"""The product of matrices that two layers make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from fac.layers.inputs import branches
from fac.layers.joins import BESIDE
from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, Sight, State
from fac.program.program import Shape
from fac.program.traits import Traits
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value


class Matmul(Layer):
    """The product of the matrices that two layers make, named in `from`: [..., n, k] and [..., k, m] make [..., n, m].

    Neither is a weight, so that the error of either is the exact one: δ B^T reaches the first, A^T δ the second.
    """

    kind: Literal["matmul"] = "matmul"
    other_kinds: ClassVar = {"bmm": "", "batchmatmul": "", "dot": ""}
    other_keys: ClassVar = {
        "with": BESIDE,
        "other": BESIDE,
        "transpose_b": "put a `permute` layer before the second one",
    }


def infer(layer: Matmul, name: str, inputs: Sequence[Shape]) -> Facts:
    """[..., n, k] and [..., k, m] -> [..., n, m]."""
    if len(inputs) != 2:
        raise ShapeError(
            f"`{name}` multiplies the matrices of two layers, not of {len(inputs)}",
            "name them: `from: [a, b]`",
            "from" if layer.reads else None,
        )
    a, b = inputs
    words = branches(layer, inputs)
    if min(len(a), len(b)) < 2 or a[:-2] != b[:-2] or a[-1] != b[-2]:
        raise ShapeError(
            f"`{name}` multiplies {words[0]} and {words[1]}, which do not go together",
            "make them [..., n, k] and [..., k, m], with equal axes before these; a `permute` layer turns a matrix",
            "from",
        )
    sights = (None, Sight(whole=True)) if len(a) == 2 else ()
    return Facts((*a[:-1], b[-1]), sights=sights)


def matmul(b: Builder, layer: Matmul, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """One product for each sample, and for each place along the axes in front."""
    return b.bmm(*inputs)


MATMUL = LayerKind("matmul", Matmul, infer, matmul, traits=lambda *_: Traits(zero=True, sign=True))
