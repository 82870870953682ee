"""The calls of `fac.testing` as functions of their own, and operands that each op must refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fac.step.builder import Builder
from fac.step.ir import Function, Value
from fac.step.types import N, Shape, Type
from fac.testing import calls
from fac.testing.calls import Call, b, f, i

SAMPLES = 4
"""The batch size that N stands for."""

Refused = tuple[Type, ...]
UNEQUAL: tuple[Refused, ...] = ((f(N, 3), f(N, 4)), (f(3), i(3)))
WRONG_LABELS: tuple[Refused, ...] = ((f(N, 3), f(N)), (f(N, 3), i(3)), (f(N), i(N)))
ELEMENTWISE = ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "less")
NO_FLOATS: tuple[Refused, ...] = ((i(N, 3),), (b(N, 3),))
CONVOLUTIONS = ("conv2d", "conv2d_input", "conv2d_weight")
NO_MAPS: tuple[Refused, ...] = (
    *((f(N, 12, 9, 9), f(12, 12, 9)), (f(N, 12), f(12, 12, 1, 1)), (i(N, 4, 6, 7), i(2, 2, 3, 2))),
    *((f(N, 5, 9, 9), f(12, 7, 3, 3)), (f(N, 12, 9, 9), f(12, 12, 99, 1))),
)
UNITS = ("gelu_tanh", "silu", "elu", "hardsigmoid", "hardswish")
INPUTS = tuple(f"{kind}_input" for kind in ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", *UNITS))

NO_ATTENTION: tuple[Refused, ...] = (
    (f(N, 3, 8), f(N, 3, 8)),
    (f(N, 3, 8), f(N, 3, 8), f(N, 4, 8)),
    (f(N, 3, 8), f(N, 3, 9), f(N, 3, 8)),
    (f(3, N, 8), f(N, 3, 8), f(N, 3, 8)),
    (f(N, 3, 8), f(N, 3, 8), f(N, 3, 8), f(N, 4)),
    (i(N, 3, 8), i(N, 3, 8), i(N, 3, 8)),
)
"""Too few; other numbers of keys and values; widths that heads do not divide; no batch in front; another mask."""

REFUSED: dict[str, tuple[Refused, ...]] = {
    **dict.fromkeys(ELEMENTWISE, UNEQUAL),
    **dict.fromkeys(("add", "sub", "mul", "maximum", "minimum"), (*UNEQUAL, (b(N), b(N)))),
    **dict.fromkeys(("div", "pow"), (*UNEQUAL, (i(N), i(N)))),
    **dict.fromkeys(INPUTS, ((f(N, 3), f(3)), (f(N), i(N)))),
    **dict.fromkeys(("bit_xor", "bit_and"), ((i(N), f()), (i(N), i(3)), (f(N), f(N)))),
    "shift_right": ((i(N), f()), (f(N), f(N))),
    "equal": ((i(N), f(N)), (i(N), i(3))),
    "where": (
        *((f(N, 3), f(N, 3), f(N, 3)), (b(N, 3), f(N, 3), i(N, 3)), (b(N, 3), b(N, 3), b(N, 3))),
        (b(N, 3), f(N, 4), f(N, 4)),
    ),
    "matmul": ((f(N, 3), f(5, 2)), (f(3), f(3, 2)), (f(N, 3, 3), f(3, 2)), (i(N, N), i(N, N))),
    "bmm": ((f(N, 3), f(3, 2)), (f(2, N, 3), f(3, N, 3)), (f(2, N, 3), f(2, 4, 5)), (i(2, 3, 3), i(2, 3, 3))),
    **dict.fromkeys(CONVOLUTIONS, NO_MAPS),
    "unfold": ((f(N, 3, 8),), (i(N, 12, 8, 8),)),
    "fold": ((f(1, 5, N),), (f(5, N),)),
    "project": ((f(N, 3), f(2, 4)), (f(N), f(2, 3))),
    "newton_schulz_rows": ((f(N, 3), f(2, 3)), (f(N), f(N)), (f(N, 3), i(N, 3))),
    "dot": ((f(N, 3), f(3, N)), (f(3), i(3)), (i(3), i(3))),
    "sum": ((b(N, 3),),),
    "mean": ((i(N, 3),),),
    "max": ((b(N, 3),),),
    **dict.fromkeys(("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "softplus", *UNITS), NO_FLOATS),
    "softmax": ((f(N),), (i(N, 3),)),
    **dict.fromkeys(
        ("sign", "abs", "round", "round_to", "sqrt", "clamp", "exp", "log", "erf", "sin", "cos"), NO_FLOATS
    ),
    "log_softmax": ((f(),), *NO_FLOATS),
    "neg": ((b(N),),),
    "argmax": ((f(),),),
    "max_abs": ((f(N),),),
    "norm": ((), (f(N), i(N)), (f(N), f())),
    "variance": ((i(N, 3),),),
    "normalize": ((f(N, 3), f(3), f(1)), (f(N, 3), f(4), f(4)), (i(N, 3), i(3), i(3))),
    "normalize_input": ((f(N, 3), f(N, 4), f(3), f(3), f(3)), (f(N, 3), f(N, 3), f(5), f(5), f(3))),
    "normalize_scale": ((f(N, 3), f(N, 4), f(3), f(3)), (f(N, 3), f(N, 3), f(5), f(5))),
    "reshape": ((f(N, 5),), (f(6),), (f(N, N),)),
    "transpose": ((f(N),), (f(N, 2, 3, 4),)),
    "broadcast_to": ((f(2),), (f(2, N, 3),)),
    "concat": ((f(N, 1, 2), f(N, 1, 3)), (f(N, 1), i(N, 1)), (f(N), f(N)), ()),
    "pad": ((f(N, 2, 2),), (f(2, N, 2, 2),), (i(N, 2, 1, 2),)),
    "crop": ((f(N, 1, 3, 4),), (f(N, 2, 1, 4),), (f(2, N, 2, 2),), (i(N, 2, 3, 4),)),
    **dict.fromkeys(("max_pool2d", "max_pool2d_index"), ((f(N, 5, 4),), (i(N, 2, 5, 4),), (f(N, 2, 5, N),))),
    **dict.fromkeys(("avg_pool2d", "adaptive_avg_pool2d", "upsample2d"), ((f(N, 5, 4),), (i(N, 2, 5, 4),))),
    **dict.fromkeys(
        ("avg_pool2d_input", "adaptive_avg_pool2d_input", "upsample2d_input"),
        ((f(N, 2, 9, 9),), (f(N, 2, 3),)),
    ),
    "pick": ((f(N, 2, 3, 2), f(N, 2, 2, 2)), (f(N, 2, 3, 2), i(N, 3, 2, 2)), (f(N, 2, 3), i(N, 2, 2))),
    "unpick": (
        (f(N, 2, 2, 2), i(N, 2, 2, 1)),
        (f(N, 3, 2, 2), i(N, 3, 2, 2)),
        (f(N, 2, 2), i(N, 2, 2)),
        (f(N, 2, 2, 2), f(N, 2, 2, 2)),
    ),
    "gather": ((f(3), i(N)), (f(N, 3), i(N)), (f(3, 2), f(N)), (f(3, 2), i()), (i(3, 2), i(N))),
    "sparse_matmul": (
        *((f(N, 3), f(5, 2), i(5, 1)), (f(N, 3), f(5, 2), f(5, 2)), (f(3), f(5, 2), i(5, 2))),
        (i(N, 3), f(5, 2), i(5, 2)),
    ),
    "sparse_matmul_input": ((f(N, 4), f(5, 2), i(5, 2)), (f(N, 5), f(5, 2), f(5, 2)), (f(N, 5), f(5), i(5))),
    "sparse_matmul_values": (
        (f(N, 4), f(N, 3), i(5, 2)),
        (f(N, 5), f(3, N), i(5, 2)),
        (f(N, 5), f(N, 3), i(5)),
    ),
    "scatter": ((f(N, 2), i(3)), (f(N, 2), f(N)), (f(2), i()), (i(N, 2), i(N))),
    "attend": NO_ATTENTION,
    **dict.fromkeys(
        ("attend_query", "attend_key", "attend_value"),
        (*((f(N, 3, 8), *given) for given in NO_ATTENTION), (f(N, 3, 7), *(f(N, 3, 8),) * 3)),
    ),
    "host": ((f(N),), (f(N, 3, 2),), (i(N, 3),)),
    "cross_entropy": WRONG_LABELS,
    "cross_entropy_input": (*((f(), *labels) for labels in WRONG_LABELS), (f(N), f(N, 3), i(N))),
}
"""By the kind of the op, whatever its attributes."""


def concrete(shape: Shape) -> tuple[int, ...]:
    """A shape with SAMPLES for N."""
    return calls.concrete(shape, SAMPLES)


def draw(call: Call, seed: int = 0) -> dict[str, Any]:
    """Operands `a0`, `a1`, ..."""
    return {f"a{k}": value for k, value in enumerate(calls.draw(call, SAMPLES, seed))}


def function_of(call: Call, finish: Callable[[Builder, Value], dict[str, Value]], name: str) -> Function:
    """A function that makes the one call; `finish` writes what comes after it and names the outputs."""
    builder = Builder()
    builder.input("x", f(N))
    operands = [builder.input(f"a{k}", type) for k, type in enumerate(call.operands)]
    result = builder.emit(call.kind, *operands, **call.attributes)
    return builder.finish(name, finish(builder, result))


def x_of(dtype: str = "float64") -> Any:
    """The input that tells a function how many samples there are."""
    return np.zeros(SAMPLES, dtype)
