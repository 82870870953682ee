"""Number by number."""

from __future__ import annotations

from fac.step.types import DType
from fac_torch.statements import is_buffered
from fac_torch.templates.base import Line, Memory, Template, kernel

SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}


def arithmetic(line: Line) -> str:
    """`torch.add(a, b)`; an operator between scalars, and where a whole number stands on the left."""
    kind, (a, b) = line.statement.kind, line.arguments
    if line.result.type.shape == ():
        return f"{a} {SYMBOLS[kind]} {b}"
    if line.host[0] and kind in ("add", "mul"):
        a, b = b, a
    elif line.host[0] and not is_buffered(line.result):
        return f"{a} {SYMBOLS[kind]} {b}"
    return f"torch.{kind}({a}, {b})"


def addcmul(line: Line) -> str:
    """`torch.addcmul`, which multiplies the product by a number."""
    factor = "" if line["value"] == 1 else f", value={line['value']}"
    return f"torch.addcmul({line.given}{factor})"


def extremum(line: Line) -> str:
    """The larger or smaller of two, one of which may be a number."""
    (a, b), larger = line.arguments, line.statement.kind == "maximum"
    if all(line.host):
        return f"{'max' if larger else 'min'}({a}, {b})"
    if any(line.host):
        a, b = (b, a) if line.host[0] else (a, b)
        return f"torch.clamp_{'min' if larger else 'max'}({a}, {b})"
    return f"torch.{line.statement.kind}({a}, {b})"


def unary(name: str, memory: Memory = Memory.OVER) -> Template:
    """`torch.name(x)`, or the Python form for a plain number."""

    def text(line: Line) -> str:
        if line.host[0]:
            return f"-{line.arguments[0]}" if name == "neg" else f"math.{name}({line.arguments[0]})"
        return f"torch.{name}({line.arguments[0]})"

    return Template(text, memory)


def where(line: Line) -> str:
    """One of two; plain numbers become tensors, because only these go with `out=`."""
    if all(line.host):
        condition, a, b = line.arguments
        return f"({a} if {condition} else {b})"
    kinds = {DType.BOOL: ", dtype=torch.bool", DType.INT: ", dtype=torch.int64", DType.FLOAT: ""}
    given = [
        f"{line.like}.new_full((), {name}{kinds[operand.type.dtype]})" if known else name
        for name, operand, known in zip(line.arguments, line.statement.operands, line.host, strict=True)
    ]
    return f"torch.where({', '.join(given)})"


def sign(line: Line) -> str:
    """-1.0, 0.0 or 1.0."""
    (x,) = line.arguments
    return f"float(({x} > 0) - ({x} < 0))" if line.host[0] else f"torch.sign({x})"


def absolute(line: Line) -> str:
    """|x|."""
    return f"{'' if line.host[0] else 'torch.'}abs({line.arguments[0]})"


def rounded(line: Line) -> str:
    """To the nearest whole number, of two that are as near to the even one."""
    (x,) = line.arguments
    return f"float(round({x}))" if line.host[0] else f"torch.round({x})"


def operator(symbol: str) -> Template:
    """An infix operator."""
    return Template(lambda line: f"{line.arguments[0]} {symbol} {line.arguments[1]}")


def cast(line: Line) -> str:
    """Another element type: the session's floats, int64 or bool."""
    if line.host[0]:
        return f"{ {'f': 'float', 'i': 'int', 'b': 'bool'}[str(line['dtype'])] }({line.arguments[0]})"
    target = {"f": f"{line.like}.dtype", "i": "torch.int64", "b": "torch.bool"}[str(line["dtype"])]
    return f"{line.arguments[0]}.to({target})"


ELEMENTWISE: dict[str, Template] = {
    **dict.fromkeys(SYMBOLS, Template(arithmetic, Memory.OVER)),
    "addcmul": Template(addcmul, Memory.OVER),
    **dict.fromkeys(("maximum", "minimum"), Template(extremum, Memory.OVER)),
    "equal": operator("=="),
    "less": operator("<"),
    **{name: unary(name) for name in ("neg", "sqrt", "exp", "log", "erf", "sin", "cos")},
    "where": Template(where, Memory.OVER),
    "sign": Template(sign, Memory.OVER),
    "abs": Template(absolute, Memory.OVER),
    "round": Template(rounded, Memory.OVER),
    "round_to": kernel("round_to", "to", memory=Memory.OVER),
    "clamp": Template(
        lambda line: f"torch.clamp({line.arguments[0]}, {line['low']}, {line['high']})", Memory.OVER
    ),
    "cast": Template(cast),
    "bit_xor": operator("^"),
    "bit_and": operator("&"),
    "shift_right": operator(">>"),
    "relu": Template(lambda line: f"torch.clamp_min({line.arguments[0]}, 0)", Memory.OVER),
    "tanh": unary("tanh"),
    "sigmoid": unary("sigmoid"),
    "leaky_relu": kernel("leaky_relu", "slope", memory=Memory.OVER),
    "gelu": kernel("gelu", memory=Memory.OVER),
    "relu_input": kernel("relu_input", memory=Memory.OVER),
    "leaky_relu_input": kernel("leaky_relu_input", "slope", memory=Memory.OVER),
    "tanh_input": kernel("tanh_input", memory=Memory.OVER),
    "sigmoid_input": kernel("sigmoid_input", memory=Memory.OVER),
    "gelu_input": kernel("gelu_input", memory=Memory.OVER),
    **{
        f"{name}{of}": kernel(f"{name}{of}", memory=Memory.OVER)
        for name in ("gelu_tanh", "silu", "hardsigmoid", "hardswish")
        for of in ("", "_input")
    },
    "elu": kernel("elu", "alpha", memory=Memory.OVER),
    "elu_input": kernel("elu_input", "alpha", memory=Memory.OVER),
    "softplus": kernel("softplus", memory=Memory.OVER),
}
