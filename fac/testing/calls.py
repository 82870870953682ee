"""At least one call of every op: what it is given, and the type that it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fac.step.hosted import on_host
from fac.step.ir import Attribute
from fac.step.ops.rounding import NARROW
from fac.step.types import Batch, DType, N, Shape, Type


def f(*shape: int | Batch) -> Type:
    """A FLOAT type."""
    return Type(shape)


def i(*shape: int | Batch) -> Type:
    """An INT type."""
    return Type(shape, DType.INT)


def b(*shape: int | Batch) -> Type:
    """A BOOL type."""
    return Type(shape, DType.BOOL)


@dataclass(frozen=True)
class Call:
    """One call of an op: `result` is the type that it makes of the operands."""

    kind: str
    operands: tuple[Type, ...]
    result: Type
    attributes: dict[str, Attribute] = field(default_factory=dict)
    positive: bool = False
    """Whether FLOAT operands are drawn positive."""
    spread: float = 1.0
    """By what FLOAT operands are multiplied: past the ends of a ramp, for one."""

    @property
    def id(self) -> str:
        """Such as `relu(f[N, 3])`, unique."""
        settings = [_setting(k, v) for k, v in self.attributes.items() if v is not False]
        return f"{self.kind}({', '.join([*map(str, self.operands), *settings])})"


def _setting(name: str, value: Attribute) -> str:
    if value is True:
        return name
    text = f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else value
    return f"{name}={text}"


def concrete(shape: Shape, samples: int) -> tuple[int, ...]:
    """A shape with a number for N."""
    return tuple(d.times * samples if isinstance(d, Batch) else d for d in shape)


def draw(call: Call, samples: int, seed: int = 0) -> list[Any]:
    """Operands: floats at least 0.3 away from 0, where nothing has a kink; integers below 3; truth values.

    Scalars are plain. Those whose shape does not hold N are the same at every number of samples.
    """
    found: list[Any] = []
    for index, type in enumerate(call.operands):
        rng = np.random.default_rng((seed, index))
        shape = concrete(type.shape, samples)
        if type.dtype == DType.INT:
            value = np.asarray(rng.integers(0, 3, shape))
        elif type.dtype == DType.BOOL:
            value = np.asarray(rng.random(shape) < 0.5)
        else:
            sign = 1 if call.positive else rng.choice([-1.0, 1.0], shape)
            value = np.asarray(call.spread * sign * rng.uniform(0.3, 1.5, shape))
        found.append(value if shape else value.item())
    return found


def convolved(
    x: Type,
    w: Type,
    y: Type,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> tuple[Call, ...]:
    """One convolution, y of x and w, in each of its forms; and what the finer ones are made of."""
    window: dict[str, Attribute] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    size, kernel = x.shape[2:], w.shape[2:]
    rows = x.shape[1] * kernel[0] * kernel[1] // groups  # type: ignore[operator]
    columns = f(groups, rows, Batch(y.shape[2] * y.shape[3]))  # type: ignore[operator]
    return (
        Call("conv2d", (x, w), y, window),
        Call("conv2d_input", (y, w), x, {"size": size, **window}),
        Call("conv2d_weight", (y, x), w, {"kernel": kernel, **window}),
        Call("unfold", (x,), columns, {"kernel": kernel, **window}),
        Call("fold", (columns,), x, {"shape": x.shape, "kernel": kernel, **window}),
    )


def there_and_back(kind: str, x: Type, y: Type, settings: dict[str, Attribute]) -> tuple[Call, Call]:
    """A linear op, and the op that is its derivative."""
    return Call(kind, (x,), y, settings), Call(f"{kind}_input", (y,), x, settings | {"shape": x.shape})


def attended(
    heads: int,
    kv_heads: int,
    width: int,
    value: int,
    *,
    queries: int = 3,
    keys: int = 3,
    causal: bool = False,
    masked: bool = False,
) -> tuple[Call, ...]:
    """Attention, and its derivatives. About half of what may be looked at is hidden by a mask."""
    settings: dict[str, Attribute] = {"heads": heads, "kv_heads": kv_heads, "causal": causal}
    made = f(N, queries, heads * value)
    given = (f(N, queries, heads * width), f(N, keys, kv_heads * width), f(N, keys, kv_heads * value))
    seen = (f(N, keys),) if masked else ()
    return (
        Call("attend", (*given, *seen), made, settings),
        *(
            Call(f"attend_{name}", (made, *given, *seen), type, settings)
            for name, type in zip(("query", "key", "value"), given, strict=True)
        ),
    )


KEEP: dict[str, Attribute] = {"axes": (0,), "keep": True}
LOGITS = (f(N, 3), i(N))
SQUARES: dict[str, Attribute] = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
OBLONG: dict[str, Attribute] = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1)}
ADAPTED: dict[str, Attribute] = {"size": (3, 4)}
NEAREST: dict[str, Attribute] = {"factor": (2, 3), "mode": "nearest"}
BILINEAR: dict[str, Attribute] = {"factor": (2, 3), "mode": "bilinear"}
ENDS: dict[str, Attribute] = {"before": (0, 0, 1, 0), "after": (0, 1, 0, 2)}

PLACES: tuple[tuple[Type, Type, tuple[int, ...], Type], ...] = (
    (f(N, 3), f(3), (0,), f(3)),
    (f(N, 2, 3), f(2, 1), (0, 2), f(2)),
    (f(N, 2, 3), f(3), (2,), f(N, 2)),
    (f(N, 2, 3), f(2, 1), (1,), f(N, 3)),
    (f(N, 2, 3), f(2, 3), (1, 2), f(N)),
    (f(N, 2, 2, 3), f(2, 2, 1), (2, 3), f(N, 2)),
)
"""What is normalised, its scale, over which axes, and the type of the moments: over the samples, in maps too; along the
last axis, along the channels of a map, over a whole sample, in groups of channels."""
EPS: dict[str, Attribute] = {"eps": 0.1}
NORMALIZED = tuple(
    call
    for x, scale, axes, moment in PLACES
    for call in (
        Call("normalize", (x, scale, scale), x, {"axes": axes, **EPS}),
        Call("normalize_input", (x, x, moment, moment, scale), x, {"axes": axes, **EPS}, positive=True),
        Call(
            "normalize_scale",
            (x, x, moment, moment),
            scale,
            {"axes": axes, **EPS, "shape": scale.shape},
            positive=True,
        ),
    )
)

HALVES = on_host("fac.testing.halves", lambda rows: 0.5 * rows[:, 1:] * rows[:, :-1])
"""Half the products of neighbours: what a device on the host would make."""

CALLS = (
    Call("constant", (), f(), {"value": 1.5, "dtype": "f"}),
    Call("constant", (), i(), {"value": 7, "dtype": "i"}),
    Call("table", (), f(3), {"values": (0.5, -1.25, 3.0)}),
    Call("cast", (i(N),), f(N), {"dtype": "f"}),
    Call("cast", (f(N),), i(N), {"dtype": "i"}),
    Call("cast", (i(),), f(), {"dtype": "f"}),
    Call("cast", (f(3),), b(3), {"dtype": "b"}),
    *(
        Call(kind, operands, f(N, 3), positive=kind == "pow")
        for kind in ("add", "sub", "mul", "div", "pow", "maximum", "minimum")
        for operands in ((f(N, 3), f(N, 3)), (f(N, 3), f(3)), (f(N, 1), f(N, 3)))
    ),
    *(
        Call(kind, operands, f(*(operands[0].shape or operands[1].shape)), positive=kind == "pow")
        for kind in ("add", "sub", "mul", "div", "pow", "maximum", "minimum")
        for operands in ((f(N, 3), f()), (f(), f(N, 3)), (f(), f()))
        if (kind, operands[0].shape, operands[1].shape) != ("pow", (), (N, 3))
    ),
    Call("add", (i(N), i()), i(N)),
    Call("mul", (i(N), i()), i(N)),
    Call("equal", (i(N), i(N)), b(N)),
    Call("equal", (f(N, 3), f(3)), b(N, 3)),
    Call("equal", (f(N, 3), f()), b(N, 3)),
    Call("less", (f(N, 3), f(3)), b(N, 3)),
    Call("less", (f(), f(N)), b(N)),
    Call("less", (f(N), f()), b(N)),
    Call("neg", (f(N, 3),), f(N, 3)),
    Call("neg", (f(),), f()),
    *(Call(kind, (f(*shape),), f(*shape)) for kind in ("sign", "abs") for shape in ((N, 3), ())),
    *(Call("round", (f(*shape),), f(*shape), spread=3.0) for shape in ((N, 3), ())),
    *(Call("round_to", (f(*s),), f(*s), {"to": to}) for to in NARROW for s in ((N, 3), (2, 3, 2))),
    *(
        Call("where", (b(*condition), f(*one), f(*other)), f(N, 3))
        for condition, one, other in (
            *(((N, 3), (N, 3), (N, 3)), ((N, 1), (N, 3), (3,)), ((N, 3), (), (N, 3)), ((N, 3), (), ())),
            *(((), (N, 3), (N, 3)), ((3,), (3,), (N, 1))),
        )
    ),
    Call("where", (b(), f(), f()), f()),
    Call("where", (b(N), i(N), i()), i(N)),
    Call("sqrt", (f(N, 3),), f(N, 3), positive=True),
    Call("sqrt", (f(),), f(), positive=True),
    Call("clamp", (f(N, 3),), f(N, 3), {"low": -0.5, "high": 0.75}),
    *(Call(kind, (f(N, 3),), f(N, 3)) for kind in ("relu", "tanh", "sigmoid", "gelu")),
    *(
        Call(kind, (f(*shape),), f(*shape), positive=kind == "log")
        for kind in ("exp", "log", "erf", "sin", "cos")
        for shape in ((N, 3), ())
    ),
    Call("stop_gradient", (f(N, 3),), f(N, 3)),
    Call("stop_gradient", (f(),), f()),
    Call("log_softmax", (f(N, 3),), f(N, 3)),
    *(Call(f"{kind}_input", (f(N, 3), f(N, 3)), f(N, 3)) for kind in ("relu", "tanh", "sigmoid", "gelu")),
    *(
        Call(kind, (f(N, 3),), f(N, 3), {"alpha": 0.6} if kind == "elu" else {}, spread=4.0)
        for kind in ("gelu_tanh", "silu", "elu", "softplus", "hardsigmoid", "hardswish")
    ),
    *(
        Call(
            f"{kind}_input", (f(N, 3), f(N, 3)), f(N, 3), {"alpha": 0.6} if kind == "elu" else {}, spread=4.0
        )
        for kind in ("gelu_tanh", "silu", "elu", "hardsigmoid", "hardswish")
    ),
    Call("softmax", (f(N, 3),), f(N, 3), {"axis": 1}),
    Call("softmax", (f(N, 2, 3),), f(N, 2, 3), {"axis": 1}),
    Call("leaky_relu", (f(N, 3),), f(N, 3), {"slope": 0.1}),
    Call("leaky_relu_input", (f(N, 3), f(N, 3)), f(N, 3), {"slope": 0.1}),
    *(
        Call(
            "matmul",
            (f(*a[::-1]) if ta else f(*a), f(*c[::-1]) if tb else f(*c)),
            f(N, 2),
            {"ta": ta, "tb": tb},
        )
        for a, c in [((N, 3), (3, 2))]
        for ta in (False, True)
        for tb in (False, True)
    ),
    Call("matmul", (f(N, 3), f(N, 2)), f(3, 2), {"ta": True, "tb": False}),
    *(
        Call(
            "bmm",
            (f(N, 4, *(a[::-1] if ta else a)), f(N, 4, *(c[::-1] if tb else c))),
            f(N, 4, 2, 5),
            {"ta": ta, "tb": tb},
        )
        for a, c in [((2, 3), (3, 5))]
        for ta in (False, True)
        for tb in (False, True)
    ),
    Call("bmm", (f(2, 3, N), f(2, N, 4)), f(2, 3, 4), {"ta": False, "tb": False}),
    *convolved(f(N, 2, 5, 4), f(3, 2, 3, 3), f(N, 3, 5, 4), padding=(1, 1, 1, 1)),
    # Strides that leave a rest, a kernel that is no square, other padding on each side, groups.
    *convolved(f(N, 4, 6, 7), f(2, 2, 3, 2), f(N, 2, 3, 3), (2, 3), (0, 1, 1, 0), groups=2),
    *convolved(f(N, 3, 5, 5), f(6, 1, 3, 3), f(N, 6, 3, 3), (2, 2), (1, 1, 1, 1), groups=3),
    *convolved(f(N, 1, 7, 5), f(2, 1, 3, 2), f(N, 2, 7, 4), padding=(2, 2, 0, 0), dilation=(2, 1)),
    *convolved(f(N, 3, 5, 2), f(2, 3, 1, 1), f(N, 2, 3, 1), (2, 2)),
    Call("project", (f(N, 3), f(2, 3)), f(N, 3)),
    # Of more numbers than samples: where rows depend on each other only left^T S is the same everywhere, and S is not.
    *(
        Call(
            "newton_schulz_rows",
            (f(N, 6), f(N, 5)),
            f(N, 5),
            {"steps": steps, "coefficients": (3.4445, -4.775, 2.0315), "least": 1e-10},
        )
        for steps in (1, 2, 5)
    ),
    Call("dot", (f(N, 3), f(N, 3)), f()),
    Call("sum", (f(N, 3),), f(3), {"axes": (0,), "keep": False}),
    Call("sum", (f(N, 3),), f(1, 3), KEEP),
    Call("sum", (f(N, 3),), f(), {"axes": (0, 1), "keep": False}),
    Call("mean", (f(N, 3),), f(N), {"axes": (1,)}),
    Call("mean", (f(N, 3),), f(), {"axes": (0, 1)}),
    Call("max", (f(N, 3),), f(N, 1), {"axes": (1,), "keep": True}),
    Call("max", (f(N, 3),), f(), {"axes": (0, 1), "keep": False}),
    Call("max_abs", (f(N, 3),), f(N, 1), {"axes": (1,), "keep": True}),
    Call("max_abs", (f(N, 3),), f(), {"axes": (0, 1), "keep": False}),
    Call("norm", (f(N, 3),), f(), {"nonzero": True}),
    Call("norm", (f(N, 3), f(3)), f(), {"nonzero": False}),
    Call("variance", (f(N, 3),), f(N), {"axes": (1,)}),
    Call("variance", (f(N, 2, 3),), f(2), {"axes": (0, 2)}),
    *NORMALIZED,
    Call("batch_size", (), f()),
    Call("reshape", (f(),), f(1, 1), {"shape": (1, 1)}),
    Call("reshape", (f(N, 2, 3),), f(N, 6), {"shape": (N, 6)}),
    Call("transpose", (f(N, 3),), f(3, N), {"axes": (1, 0)}),
    Call("transpose", (f(N, 2, 3),), f(3, N, 2), {"axes": (2, 0, 1)}),
    Call("broadcast_to", (f(3),), f(N, 3), {"shape": (N, 3)}),
    Call("broadcast_to", (f(N, 1),), f(N, 3), {"shape": (N, 3)}),
    Call("broadcast_to", (f(),), f(N, 3), {"shape": (N, 3)}),
    Call("argmax", (f(N, 3),), i(N)),
    Call("cross_entropy", LOGITS, f()),
    Call("cross_entropy_input", (f(), *LOGITS), f(N, 3)),
    Call("iota", (), i(N, 3), {"shape": (N, 3)}),
    Call("iota", (), i(3), {"shape": (3,)}),
    Call("equal", (i(3, 1), i(3)), b(3, 3)),
    *(Call(kind, (i(N), i()), i(N)) for kind in ("bit_xor", "bit_and", "shift_right")),
    Call("concat", (f(N, 1, 2), f(N, 3, 2), f(N, 2, 2)), f(N, 6, 2), {"axis": 1}),
    Call("concat", (f(2, 1), f(2, 2)), f(2, 3), {"axis": 1}),
    Call("pad", (f(N, 2, 1, 2),), f(N, 3, 2, 4), ENDS),
    Call("crop", (f(N, 2, 3, 4),), f(N, 1, 2, 2), ENDS),
    *(
        Call(kind, (f(N, 2, *size),), Type((N, 2, *made), dtype), window)
        for kind, dtype in (("max_pool2d", DType.FLOAT), ("max_pool2d_index", DType.INT))
        for size, window, made in (((5, 4), SQUARES, (2, 2)), ((4, 5), OBLONG, (2, 6)))
    ),
    *(
        case
        for kind, size, settings, made in (
            ("avg_pool2d", (5, 4), SQUARES, (2, 2)),
            ("avg_pool2d", (4, 5), OBLONG, (2, 6)),
            ("adaptive_avg_pool2d", (5, 2), ADAPTED, (3, 4)),
            ("upsample2d", (3, 2), NEAREST, (6, 6)),
            ("upsample2d", (3, 1), BILINEAR, (6, 3)),
        )
        for case in there_and_back(kind, f(N, 2, *size), f(N, 2, *made), settings)
    ),
    Call("pick", (f(N, 2, 3, 2), i(N, 2, 2, 2)), f(N, 2, 2, 2)),
    Call("unpick", (f(N, 2, 2, 2), i(N, 2, 2, 2)), f(N, 2, 3, 2), {"shape": (N, 2, 3, 2)}),
    Call("gather", (f(3, 2), i(N, 4)), f(N, 4, 2)),
    Call("gather", (f(3, 2), i(N)), f(N, 2)),
    Call("scatter", (f(N, 4, 2), i(N, 4)), f(3, 2), {"rows": 3}),
    *(
        case
        for kept in (1, 2)
        for case in (
            Call("sparse_matmul", (f(N, 3), f(5, kept), i(5, kept)), f(N, 5)),
            Call("sparse_matmul_input", (f(N, 5), f(5, kept), i(5, kept)), f(N, 3), {"columns": 3}),
            Call("sparse_matmul_values", (f(N, 5), f(N, 3), i(5, kept)), f(5, kept)),
        )
    ),
    Call("host", (f(N, 3),), f(N, 2), {"call": HALVES, "width": 2}),
    *attended(4, 4, 3, 2),
    *attended(2, 1, 3, 2, queries=5, keys=5, causal=True, masked=True),
    *attended(4, 2, 2, 3, keys=5, masked=True),
)
