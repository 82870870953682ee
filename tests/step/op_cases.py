"""At least one call of every op, with the type that it makes, and operands that it must refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fac.step.builder import Builder
from fac.step.ir import Attribute, Function, Value
from fac.step.types import Batch, DType, N, Shape, Type

SAMPLES = 4
"""The batch size that N stands for."""


def f(*shape: int | Batch) -> Type:
    """A FLOAT type."""
    return Type(shape)


def i(*shape: int | Batch) -> Type:
    """An INT type."""
    return Type(shape, DType.INT)


def b(*shape: int | Batch) -> Type:
    """A BOOL type."""
    return Type(shape, DType.BOOL)


Refused = tuple[Type, ...]


@dataclass(frozen=True)
class Case:
    """One call of an op: `result` is what it makes of the operands, `refused` are operands that do not fit."""

    kind: str
    operands: tuple[Type, ...]
    result: Type
    attributes: dict[str, Attribute] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()
    positive: bool = False
    """Whether FLOAT operands are drawn positive."""

    @property
    def id(self) -> str:
        """For pytest."""
        flags = [k for k, v in self.attributes.items() if v is True]
        return f"{self.kind}({', '.join([*map(str, self.operands), *flags])})"


KEEP: dict[str, Attribute] = {"axes": (0,), "keep": True}
LOGITS = (f(N, 3), i(N))
UNEQUAL = ((f(N, 3), f(N, 4)), (f(3), i(3)))
WRONG_LABELS = ((f(N, 3), f(N)), (f(N, 3), i(3)), (f(N), i(N)))

CASES = (
    Case("constant", (), f(), {"value": 1.5, "dtype": "f"}),
    Case("constant", (), i(), {"value": 7, "dtype": "i"}),
    Case("cast", (i(N),), f(N), {"dtype": "f"}),
    Case("cast", (f(N),), i(N), {"dtype": "i"}),
    Case("cast", (i(),), f(), {"dtype": "f"}),
    Case("cast", (f(3),), b(3), {"dtype": "b"}),
    *(
        Case(kind, operands, f(N, 3), refused=UNEQUAL, positive=kind == "pow")
        for kind in ("add", "sub", "mul", "div", "pow", "maximum", "minimum")
        for operands in ((f(N, 3), f(N, 3)), (f(N, 3), f(3)), (f(N, 1), f(N, 3)))
    ),
    *(
        Case(kind, operands, f(*(operands[0].shape or operands[1].shape)), positive=kind == "pow")
        for kind in ("add", "sub", "mul", "div", "pow", "maximum", "minimum")
        for operands in ((f(N, 3), f()), (f(), f(N, 3)), (f(), f()))
        if (kind, operands[0].shape, operands[1].shape) != ("pow", (), (N, 3))
    ),
    Case("add", (i(N), i()), i(N)),
    Case("mul", (i(N), i()), i(N)),
    Case("equal", (i(N), i(N)), b(N), refused=((i(N), f(N)), (i(N), i(3)))),
    Case("less", (f(N, 3), f(3)), b(N, 3), refused=UNEQUAL),
    Case("less", (f(), f(N)), b(N)),
    Case("less", (f(N), f()), b(N)),
    Case("neg", (f(N, 3),), f(N, 3)),
    Case("neg", (f(),), f()),
    Case("sqrt", (f(N, 3),), f(N, 3), positive=True),
    Case("sqrt", (f(),), f(), positive=True),
    Case("clamp", (f(N, 3),), f(N, 3), {"low": -0.5, "high": 0.75}),
    *(Case(kind, (f(N, 3),), f(N, 3)) for kind in ("relu", "tanh", "sigmoid", "gelu")),
    *(
        Case(kind, (f(*shape),), f(*shape), positive=kind == "log")
        for kind in ("exp", "log", "erf")
        for shape in ((N, 3), ())
    ),
    Case("log_softmax", (f(N, 3),), f(N, 3)),
    *(
        Case(f"{kind}_input", (f(N, 3), f(N, 3)), f(N, 3), refused=((f(N, 3), f(3)), (f(N), i(N))))
        for kind in ("relu", "tanh", "sigmoid", "gelu")
    ),
    Case("leaky_relu", (f(N, 3),), f(N, 3), {"slope": 0.1}),
    Case("leaky_relu_input", (f(N, 3), f(N, 3)), f(N, 3), {"slope": 0.1}, refused=((f(N, 3), f(3)),)),
    *(
        Case(
            "matmul",
            (f(*a[::-1]) if ta else f(*a), f(*c[::-1]) if tb else f(*c)),
            f(N, 2),
            {"ta": ta, "tb": tb},
            refused=((f(N, 3), f(5, 2)), (f(3), f(3, 2)), (f(N, 3, 3), f(3, 2)), (i(N, N), i(N, N))),
        )
        for a, c in [((N, 3), (3, 2))]
        for ta in (False, True)
        for tb in (False, True)
    ),
    Case("matmul", (f(N, 3), f(N, 2)), f(3, 2), {"ta": True, "tb": False}),
    Case("project", (f(N, 3), f(2, 3)), f(N, 3), refused=((f(N, 3), f(2, 4)), (f(N), f(2, 3)))),
    Case("dot", (f(N, 3), f(N, 3)), f(), refused=((f(N, 3), f(3, N)), (f(3), i(3)))),
    Case("sum", (f(N, 3),), f(3), {"axes": (0,), "keep": False}, refused=((f(),),)),
    Case("sum", (f(N, 3),), f(1, 3), KEEP),
    Case("sum", (f(N, 3),), f(), {"axes": (0, 1), "keep": False}, refused=((f(N),),)),
    Case("mean", (f(N, 3),), f(N), {"axes": (1,)}, refused=((f(N),),)),
    Case("mean", (f(N, 3),), f(), {"axes": (0, 1)}),
    Case("max", (f(N, 3),), f(N, 1), {"axes": (1,), "keep": True}, refused=((f(N),),)),
    Case("max", (f(N, 3),), f(), {"axes": (0, 1), "keep": False}),
    Case("batch_size", (), f()),
    Case("reshape", (f(N, 2, 3),), f(N, 6), {"shape": (N, 6)}, refused=((f(N, 5),), (f(6),), (f(N, N),))),
    Case("broadcast_to", (f(3),), f(N, 3), {"shape": (N, 3)}, refused=((f(2),), (f(2, N, 3),))),
    Case("broadcast_to", (f(N, 1),), f(N, 3), {"shape": (N, 3)}),
    Case("broadcast_to", (f(),), f(N, 3), {"shape": (N, 3)}),
    Case("argmax", (f(N, 3),), i(N)),
    Case("cross_entropy", LOGITS, f(), refused=WRONG_LABELS),
    Case("cross_entropy_input", (f(), *LOGITS), f(N, 3), refused=tuple((f(), *r) for r in WRONG_LABELS)),
    Case("iota", (), i(N, 3), {"shape": (N, 3)}),
    *(Case(kind, (i(N), i()), i(N), refused=((i(N), f()), (i(N), i(3)))) for kind in ("bit_xor", "bit_and")),
    Case("shift_right", (i(N), i()), i(N), refused=((i(N), f()),)),
)


def concrete(shape: Shape) -> tuple[int, ...]:
    """A shape with SAMPLES for N."""
    return tuple(d.times * SAMPLES if isinstance(d, Batch) else d for d in shape)


def draw(case: Case, seed: int = 0) -> dict[str, Any]:
    """Operands `a0`, `a1`, ...: floats at least 0.3 away from 0, where nothing has a kink; integers below 3."""
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for index, type in enumerate(case.operands):
        shape = concrete(type.shape)
        if type.dtype == DType.INT:
            value: Any = rng.integers(0, 3, shape)
        else:
            sign = 1 if case.positive else rng.choice([-1.0, 1.0], shape)
            value = sign * rng.uniform(0.3, 1.5, shape)
        found[f"a{index}"] = value.item() if shape == () and not isinstance(value, int | float) else value
    return found


def function_of(case: Case, finish: Callable[[Builder, Value], dict[str, Value]], name: str) -> Function:
    """A function that makes the one call; `finish` writes what comes after it and names the outputs."""
    builder = Builder()
    builder.input("x", f(N))
    operands = [builder.input(f"a{k}", type) for k, type in enumerate(case.operands)]
    result = builder.emit(case.kind, *operands, **case.attributes)
    return builder.finish(name, finish(builder, result))


def x_of(dtype: str = "float64") -> Any:
    """The input that tells a function how many samples there are."""
    return np.zeros(SAMPLES, dtype)


assert math.prod(concrete((N, 3))) == 3 * SAMPLES
