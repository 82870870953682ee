"""What each op of the step IR is in standard ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fac.step.ir import Op
from fac.step.types import Batch, flat
from fac_onnx import convolution
from fac_onnx.graph import BFLOAT16, BOOL, INT64, UINT32, UINT64
from fac_onnx.norms import max_abs, norm
from fac_onnx.orthogonal import newton_schulz_rows
from fac_onnx.parts import concat, crop, pad
from fac_onnx.pools import max_pool2d, max_pool2d_index, pick, unpick
from fac_onnx.project import project
from fac_onnx.resampling import avg_pool2d, resampled, upsample2d

if TYPE_CHECKING:
    from fac_onnx.emit import Emitter

Template = Callable[["Emitter", Op], str]
"""`template(emitter, op)`: adds the nodes of the op, and returns the name of its result."""

NO_KERNEL = {
    "float32": frozenset[str](),
    "float64": frozenset({"erf", "leaky_relu", "elu", "softplus", "hardsigmoid", "hardswish"})
    | {"conv2d", "conv2d_input"},
}
"""Ops whose ONNX form onnxruntime's CPU provider does not have in this precision. A test holds that this is so."""


def plain(onnx_op: str, **attributes: Any) -> Template:
    """One node on the operands."""
    return lambda e, op: e.node(onnx_op, e.operands(op), op, **attributes)


def constant(e: Emitter, op: Op) -> str:
    """An initializer, in each type in which somebody reads it."""
    return e.name(op.result)


def table(e: Emitter, op: Op) -> str:
    """An initializer."""
    return e.alias(op, e.graph.constant(op["values"], e.dtype(op.result)))


def cast(e: Emitter, op: Op) -> str:
    """Another element type."""
    return e.node("Cast", e.operands(op), op, to=e.dtype(op.result))


def round_to(e: Emitter, op: Op) -> str:
    """There and back."""
    to = {"bfloat16": BFLOAT16}[str(op["to"])]
    narrow = e.part("Cast", e.operands(op), op, str(op["to"]), to, op.result.type.shape, to=to)
    return e.node("Cast", [narrow], op, to=e.dtype(op.result))


def erf(e: Emitter, op: Op) -> str:
    """In the graph's own precision: a scalar that is computed in double precision has no kernel either."""
    (operand,), dtype, shape = op.operands, e.dtype(op.result), op.result.type.shape
    if dtype == e.float:
        return e.node("Erf", [e.name(operand, dtype)], op)
    found = e.part("Erf", [e.name(operand, e.float)], op, "single", e.float, shape)
    return e.node("Cast", [found], op, to=dtype)


def relu_input(e: Emitter, op: Op) -> str:
    """G where y > 0, else 0, also where g is not finite (the reference multiplies, and has NaN there)."""
    g, y = e.operands(op)
    zero = e.scalar(0.0, op)
    live = e.part("Greater", [y, zero], op, "live", BOOL, op.result.type.shape)
    return e.node("Where", [live, g, zero], op)


def clamp(e: Emitter, op: Op) -> str:
    """Limited to [low, high]."""
    return e.node("Clip", [*e.operands(op), e.scalar(op["low"], op), e.scalar(op["high"], op)], op)


def matmul(e: Emitter, op: Op) -> str:
    """`Gemm` where a factor is read transposed, else `MatMul`."""
    turned = {"transA": int(bool(op["ta"])), "transB": int(bool(op["tb"]))}
    if any(turned.values()):
        return e.node("Gemm", e.operands(op), op, **turned)
    return e.node("MatMul", e.operands(op), op)


def bmm(e: Emitter, op: Op) -> str:
    """`MatMul`, which reads nothing transposed."""
    names = e.operands(op)
    for index, side in enumerate(("ta", "tb")):
        if op[side]:
            *lead, rows, columns = op.operands[index].type.shape
            perm = [*range(len(lead)), len(lead) + 1, len(lead)]
            names[index] = e.part(
                "Transpose", [names[index]], op, side, e.float, (*lead, columns, rows), perm=perm
            )
    return e.node("MatMul", names, op)


def reduction(onnx_op: str) -> Template:
    """Over axes, which are an operand."""

    def template(e: Emitter, op: Op) -> str:
        axes = e.graph.constant(op["axes"], INT64)
        keep = int(bool(dict(op.attributes).get("keep", False)))
        # without the flag, no axes would mean all axes
        return e.node(onnx_op, [*e.operands(op), axes], op, keepdims=keep, noop_with_empty_axes=1)

    return template


def batch_size(e: Emitter, op: Op) -> str:
    """N as a number."""
    return e.node("Cast", [e.samples()], op, to=e.dtype(op.result))


def reshape(e: Emitter, op: Op) -> str:
    """-1 stands for the one dimension that depends on N."""
    dims = [-1 if isinstance(dim, Batch) else dim for dim in op.result.type.shape]
    return e.node("Reshape", [*e.operands(op), e.graph.constant(dims, INT64)], op)


def broadcast_to(e: Emitter, op: Op) -> str:
    """`Expand` to a shape that is computed where it depends on N."""
    return e.node("Expand", [*e.operands(op), e.target(op, op.result.type.shape)], op)


def iota(e: Emitter, op: Op) -> str:
    """0, 1, 2, ... : a constant if it is short, else made on the spot."""
    shape = op.result.type.shape
    length = flat(shape)
    if len(shape) == 1 and isinstance(length, int) and e.dtype(op.result) == INT64 and length <= 4096:
        return e.alias(op, e.graph.constant(range(length), INT64))
    count = e.samples(length.times) if isinstance(length, Batch) else e.graph.constant(length, INT64)
    bounds = [e.graph.constant(0, INT64), count, e.graph.constant(1, INT64)]
    row = e.part("Range", bounds, op, "flat", INT64, (length,))
    if e.dtype(op.result) == UINT32:
        row = e.part("Cast", [row], op, "u32", UINT32, (length,), to=UINT32)
    dims = [-1 if isinstance(dim, Batch) else dim for dim in shape]
    return e.node("Reshape", [row, e.graph.constant(dims, INT64)], op)


def bit_and(e: Emitter, op: Op) -> str:
    """`BitwiseAnd`; nothing at all where 32-bit numbers are cut to 32 bits."""
    if e.dtype(op.result) == UINT32 and 0xFFFFFFFF in (e.known.get(v) for v in op.operands):
        kept = next(v for v in op.operands if e.known.get(v) != 0xFFFFFFFF)
        return e.alias(op, e.name(kept, UINT32))
    return e.node("BitwiseAnd", e.operands(op), op)


def shift_right(e: Emitter, op: Op) -> str:
    """`BitShift`, which knows unsigned integers only; the step IR shifts nothing negative."""
    if e.dtype(op.result) == UINT32:
        return e.node("BitShift", e.operands(op), op, direction="RIGHT")
    bits = [
        e.part("Cast", [name], op, f"u{i}", UINT64, v.type.shape, to=UINT64)
        for i, (name, v) in enumerate(zip(e.operands(op), op.operands, strict=True))
    ]
    shifted = e.part("BitShift", bits, op, "shifted", UINT64, op.result.type.shape, direction="RIGHT")
    return e.node("Cast", [shifted], op, to=INT64)


def scatter(e: Emitter, op: Op) -> str:
    """`ScatterND` into rows of zeros, which adds up in the order of the places."""
    (g, index), (rows, width) = e.operands(op), op.result.type.shape
    places = op.operands[1].type.shape
    empty = e.part(
        "Expand", [e.scalar(0.0, op), e.target(op, (rows, width))], op, "empty", e.float, (rows, width)
    )
    to = e.graph.constant([*(-1 if isinstance(dim, Batch) else dim for dim in places), 1], INT64)
    at = e.part("Reshape", [index, to], op, "at", INT64, (*places, 1))
    return e.node("ScatterND", [empty, at, g], op, reduction="add")


TEMPLATES: dict[str, Template] = {
    "constant": constant,
    "table": table,
    "cast": cast,
    "add": plain("Add"),
    "sub": plain("Sub"),
    "mul": plain("Mul"),
    "div": plain("Div"),
    "pow": plain("Pow"),
    "maximum": plain("Max"),
    "minimum": plain("Min"),
    "equal": plain("Equal"),
    "less": plain("Less"),
    "neg": plain("Neg"),
    "where": plain("Where"),
    "sign": plain("Sign"),
    "abs": plain("Abs"),
    "round": plain("Round"),
    "round_to": round_to,
    "sqrt": plain("Sqrt"),
    "exp": plain("Exp"),
    "log": plain("Log"),
    "erf": erf,
    **{name: plain(name.capitalize()) for name in ("sin", "cos")},
    "clamp": clamp,
    "relu": plain("Relu"),
    "relu_input": relu_input,
    "leaky_relu": lambda e, op: e.node("LeakyRelu", e.operands(op), op, alpha=op["slope"]),
    "tanh": plain("Tanh"),
    "sigmoid": plain("Sigmoid"),
    "elu": lambda e, op: e.node("Elu", e.operands(op), op, alpha=op["alpha"]),
    "softplus": plain("Softplus"),
    "hardsigmoid": plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hardswish": plain("HardSwish"),
    "softmax": lambda e, op: e.node("Softmax", e.operands(op), op, axis=op["axis"]),
    "log_softmax": plain("LogSoftmax", axis=-1),
    "matmul": matmul,
    "bmm": bmm,
    "conv2d": convolution.conv2d,
    "conv2d_input": convolution.conv2d_input,
    "unfold": convolution.unfold,
    "fold": convolution.fold,
    "project": project,
    "newton_schulz_rows": newton_schulz_rows,
    "sum": reduction("ReduceSum"),
    "mean": reduction("ReduceMean"),
    "max": reduction("ReduceMax"),
    "max_abs": max_abs,
    "norm": norm,
    "batch_size": batch_size,
    "reshape": reshape,
    "transpose": lambda e, op: e.node("Transpose", e.operands(op), op, perm=op["axes"]),
    "broadcast_to": broadcast_to,
    "argmax": plain("ArgMax", axis=-1, keepdims=0),
    "iota": iota,
    "bit_xor": plain("BitwiseXor"),
    "bit_and": bit_and,
    "shift_right": shift_right,
    "concat": concat,
    "pad": pad,
    "crop": crop,
    "max_pool2d": max_pool2d,
    "max_pool2d_index": max_pool2d_index,
    "pick": pick,
    "unpick": unpick,
    "gather": plain("Gather", axis=0),
    "scatter": scatter,
    "avg_pool2d": avg_pool2d,
    "adaptive_avg_pool2d": resampled,
    "upsample2d": upsample2d,
    **dict.fromkeys(("avg_pool2d_input", "adaptive_avg_pool2d_input", "upsample2d_input"), resampled),
}
