"""Products of matrices, and what is made of them."""

from __future__ import annotations

from fac_torch.templates.base import Line, Memory, Template, kernel


def turned(argument: str, transposed: object) -> str:
    """A matrix, or its transposed view."""
    return f"{argument}.T" if transposed else argument


def matmul(line: Line) -> str:
    """`torch.mm`."""
    a, b = line.arguments
    return f"torch.mm({turned(a, line['ta'])}, {turned(b, line['tb'])})"


def addmm(line: Line) -> str:
    """`torch.addmm`."""
    bias, a, b = line.arguments
    return f"torch.addmm({bias}, {turned(a, line['ta'])}, {turned(b, line['tb'])})"


def narrow_matmul(line: Line) -> str:
    """`torch.mm`, of which the result is rounded."""
    a, b = line.arguments
    return f"kernels.narrow_mm({turned(a, line['ta'])}, {turned(b, line['tb'])}, {line['to']!r})"


def narrow_addmm(line: Line) -> str:
    """`torch.addmm`, of which the result is rounded."""
    bias, a, b = line.arguments
    return f"kernels.narrow_addmm({bias}, {turned(a, line['ta'])}, {turned(b, line['tb'])}, {line['to']!r})"


def bmm(line: Line) -> str:
    """`torch.matmul`, matrix by matrix."""
    a, b = (
        f"{argument}.mT" if line[side] else argument
        for argument, side in zip(line.arguments, ("ta", "tb"), strict=True)
    )
    return f"torch.matmul({a}, {b})"


def matmul_map(line: Line) -> str:
    """A product whose rows are maps."""
    a, b = line.arguments
    b = turned(b, not line["tb"])  # [C H W, k]
    return f"kernels.matmul_map({turned(a, line['ta'])}, {b}, {line.shape})"


PRODUCTS: dict[str, Template] = {
    "matmul": Template(matmul, Memory.OUT, by_strides=True),
    "addmm": Template(addmm, Memory.OUT, by_strides=True),
    "narrow_matmul": Template(narrow_matmul, Memory.OUT, by_strides=True),
    "narrow_addmm": Template(narrow_addmm, Memory.OUT, by_strides=True),
    "widen": kernel("widen"),
    "bmm": Template(bmm, Memory.OUT),
    "matmul_map": Template(matmul_map, Memory.OUT),
    "project": Template(
        lambda line: f"{line.arguments[0]} @ torch.linalg.pinv({line.arguments[1]}) @ {line.arguments[1]}"
    ),
    "newton_schulz_rows": kernel("newton_schulz_rows", "steps", "coefficients", "least"),
    "host": kernel("host", "call", "width", memory=Memory.FRESH),
    "dot": Template(lambda line: f"kernels.dot({line.given})"),
}
