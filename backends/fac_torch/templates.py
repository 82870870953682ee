"""One line of torch per statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fac.step.ir import Value
from fac.step.types import Batch, Shape
from fac_torch.statements import Statement


@dataclass(frozen=True, slots=True)
class Line:
    """What a template may ask: the statement, how operands are written, and which are plain Python numbers."""

    statement: Statement
    arguments: tuple[str, ...]
    host: tuple[bool, ...]
    settings: str = ""
    """The name of the dictionary of the statement's attributes, for optimiser kernels."""

    def __getitem__(self, attribute: str) -> object:
        return self.statement.attributes[attribute]

    @property
    def result(self) -> Value:
        """The value that the statement makes."""
        assert self.statement.result is not None
        return self.statement.result

    @property
    def shape(self) -> str:
        """The result's shape as a tuple of Python."""
        return python_shape(self.result.type.shape)


def python_shape(shape: Shape) -> str:
    """`(n, 512)`; n is the batch size in the emitted function."""
    parts = [("n" if d.times == 1 else f"{d.times} * n") if isinstance(d, Batch) else str(d) for d in shape]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


@dataclass(frozen=True, slots=True)
class Call:
    """A line, and whether the call takes `out=`."""

    text: str
    out: bool = False


Template = Callable[[Line], Call]
SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}


def arithmetic(line: Line) -> Call:
    """`torch.add(a, b)`; an operator between scalars, or where a number stands on the left."""
    kind, (a, b) = line.statement.kind, line.arguments
    if line.result.type.shape == ():
        return Call(f"{a} {SYMBOLS[kind]} {b}")
    if line.host[0] and kind in ("add", "mul"):
        a, b = b, a
    elif line.host[0]:
        return Call(f"{a} {SYMBOLS[kind]} {b}")
    return Call(f"torch.{kind}({a}, {b})", out=True)


def extremum(line: Line) -> Call:
    """The larger or smaller of two, one of which may be a number."""
    (a, b), larger = line.arguments, line.statement.kind == "maximum"
    if all(line.host):
        return Call(f"{'max' if larger else 'min'}({a}, {b})")
    if any(line.host):
        a, b = (b, a) if line.host[0] else (a, b)
        return Call(f"torch.clamp_{'min' if larger else 'max'}({a}, {b})", out=True)
    return Call(f"torch.{line.statement.kind}({a}, {b})", out=True)


def unary(name: str) -> Template:
    """`torch.name(x)`, or the Python form for a plain number."""

    def template(line: Line) -> Call:
        if line.host[0]:
            return Call(f"-{line.arguments[0]}" if name == "neg" else f"math.{name}({line.arguments[0]})")
        return Call(f"torch.{name}({line.arguments[0]})", out=True)

    return template


def kernel(name: str, *attributes: str) -> Template:
    """A function of the kernels module."""

    def template(line: Line) -> Call:
        values = [repr(line[a]) for a in attributes]
        return Call(f"kernels.{name}({', '.join([*line.arguments, *values])})", out=True)

    return template


def operator(symbol: str) -> Template:
    """An infix operator."""
    return lambda line: Call(f"{line.arguments[0]} {symbol} {line.arguments[1]}")


def turned(argument: str, transposed: object) -> str:
    """A matrix, or its transposed view."""
    return f"{argument}.T" if transposed else argument


def matmul(line: Line) -> Call:
    """`torch.mm`."""
    a, b = line.arguments
    return Call(f"torch.mm({turned(a, line['ta'])}, {turned(b, line['tb'])})", out=True)


def addmm(line: Line) -> Call:
    """`torch.addmm`."""
    bias, a, b = line.arguments
    return Call(f"torch.addmm({bias}, {turned(a, line['ta'])}, {turned(b, line['tb'])})", out=True)


def reduction(name: str) -> Template:
    """A reduction over axes."""

    def template(line: Line) -> Call:
        keep = ", keepdim=True" if line.statement.attributes.get("keep") else ""
        out = line.result.type.shape != ()
        return Call(f"torch.{name}({line.arguments[0]}, dim={line['axes']}{keep})", out=out)

    return template


def max_abs(line: Line) -> Call:
    """The largest magnitude over axes."""
    keep = ", keepdim=True" if line["keep"] else ""
    out = line.result.type.shape != ()
    return Call(f"kernels.max_abs({line.arguments[0]}, dim={line['axes']}{keep})", out=out)


def cast(line: Line) -> Call:
    """Another element type: the session's floats, int64 or bool."""
    if line.host[0]:
        return Call(f"{ {'f': 'float', 'i': 'int', 'b': 'bool'}[str(line['dtype'])] }({line.arguments[0]})")
    target = {"f": "x.dtype", "i": "torch.int64", "b": "torch.bool"}[str(line["dtype"])]
    return Call(f"{line.arguments[0]}.to({target})")


def shaped(method: str) -> Template:
    """A view of a tensor; a plain number fills a new tensor."""

    def template(line: Line) -> Call:
        if line.host[0]:
            return Call(f"x.new_full({line.shape}, {line.arguments[0]})")
        return Call(f"{line.arguments[0]}.{method}({line.shape})")

    return template


def iota(line: Line) -> Call:
    """0, 1, 2, ... in row-major order."""
    if len(line.result.type.shape) == 1:
        return Call(f"torch.arange({line.shape[1:-2]}, device=x.device)")
    return Call(f"torch.arange(math.prod({line.shape}), device=x.device).view({line.shape})")


def update(name: str) -> Template:
    """An optimiser kernel: state first, then the gradient or its factors, then scalars, then settings."""

    def template(line: Line) -> Call:
        states = len(line.statement.updates)
        outer = name.endswith("_outer")
        given = list(line.arguments)
        if name.startswith("sgd") and states == 1:
            given.insert(1, "None")
            states = 2
        tail = states + (2 if outer else 1)
        room = ["B.tile"] if outer else []
        return Call(
            f"kernels.{name}({', '.join([*given[:tail], *room, *given[tail:], f'**{line.settings}'])})"
        )

    return template


TEMPLATES: dict[str, Template] = {
    "add": arithmetic,
    "sub": arithmetic,
    "mul": arithmetic,
    "div": arithmetic,
    "pow": arithmetic,
    "maximum": extremum,
    "minimum": extremum,
    "equal": operator("=="),
    "less": operator("<"),
    "neg": unary("neg"),
    "sqrt": unary("sqrt"),
    "clamp": lambda line: Call(f"torch.clamp({line.arguments[0]}, {line['low']}, {line['high']})", out=True),
    "exp": unary("exp"),
    "log": unary("log"),
    "erf": unary("erf"),
    "cast": cast,
    "relu": lambda line: Call(f"torch.clamp_min({line.arguments[0]}, 0)", out=True),
    "tanh": unary("tanh"),
    "sigmoid": unary("sigmoid"),
    "leaky_relu": kernel("leaky_relu", "slope"),
    "gelu": kernel("gelu"),
    "relu_input": kernel("relu_input"),
    "leaky_relu_input": kernel("leaky_relu_input", "slope"),
    "tanh_input": kernel("tanh_input"),
    "sigmoid_input": kernel("sigmoid_input"),
    "gelu_input": kernel("gelu_input"),
    "matmul": matmul,
    "addmm": addmm,
    "project": lambda line: Call(
        f"{line.arguments[0]} @ torch.linalg.pinv({line.arguments[1]}) @ {line.arguments[1]}"
    ),
    "uniform_bits": lambda line: Call(
        f"kernels.uniform_bits({line.shape}, {line.arguments[0]}, {line['first']}, {line['second']}, x.device)"
    ),
    "dot": lambda line: Call(f"kernels.dot({', '.join(line.arguments)})"),
    "sum": reduction("sum"),
    "mean": reduction("mean"),
    "max": reduction("amax"),
    "max_abs": max_abs,
    "norm": lambda line: Call(
        f"kernels.norm({', '.join([*line.arguments, *['nonzero=True'] * bool(line['nonzero'])])})"
    ),
    "reshape": shaped("reshape"),
    # A copy, not a view: fused updates and `out=` kernels take what they are given for laid out row by row.
    "transpose": lambda line: Call(f"torch.permute_copy({line.arguments[0]}, {line['axes']})", out=True),
    "broadcast_to": shaped("expand"),
    "argmax": lambda line: Call(f"torch.argmax({line.arguments[0]}, dim=-1)"),
    "cross_entropy": lambda line: Call(f"kernels.cross_entropy({', '.join(line.arguments)})"),
    "cross_entropy_input": kernel("cross_entropy_input"),
    "iota": iota,
    "bit_xor": operator("^"),
    "bit_and": operator("&"),
    "shift_right": operator(">>"),
    "sgd": update("sgd"),
    "sgd_outer": update("sgd_outer"),
    "adam": update("adam"),
    "adam_outer": update("adam_outer"),
    "clone": lambda line: Call(f"{line.arguments[0]}.clone()"),
    "copy": lambda line: Call(f"{line.arguments[0]}.copy_({line.arguments[1]})"),
}
