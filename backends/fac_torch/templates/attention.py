"""Attention, and rows by their numbers."""

from __future__ import annotations

from fac_torch.templates.base import Line, Memory, Template, kernel


def attention(name: str, *first: object, lead: int = 0, trail: int = 0) -> Template:
    """A kernel that reads queries, keys, values and perhaps a mask, behind `lead` operands and before `trail` ones."""

    def text(line: Line) -> str:
        arguments = list(line.arguments)
        if len(arguments) == lead + 3 + trail:
            arguments.insert(lead + 3, "None")
        settings = (repr(line[name]) for name in ("heads", "kv_heads", "causal"))
        return f"kernels.{name}({', '.join([*map(repr, first), *arguments, *settings])})"

    return Template(text, by_strides=True)


ATTENTION: dict[str, Template] = {
    "attend": attention("attend"),
    "attend_with_logsum": attention("attend_with_logsum"),
    "attend_back": attention("attend_back", lead=1, trail=2),
    **{
        f"attend_{name}": attention("attend_back_alone", place, lead=1)
        for place, name in enumerate(("query", "key", "value"))
    },
    "gather": kernel("gather", memory=Memory.FRESH),
    "sparse_matmul": kernel("sparse_matmul", memory=Memory.FRESH),
    "sparse_matmul_values": kernel("sparse_matmul_values", memory=Memory.FRESH),
    "scatter": kernel("scatter", "rows", memory=Memory.FRESH),
}
