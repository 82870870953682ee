"""What moves state in place, and copies. What moves state has no result, or one in memory of its own."""

from __future__ import annotations

from fac_torch.templates.base import Line, Memory, Order, Template, kernel


def update(name: str) -> Template:
    """An optimiser kernel: state first, then the gradient or its factors, then scalars, then settings."""

    def text(line: Line) -> str:
        states = len(line.statement.updates)
        outer = name.endswith("_outer")
        given = list(line.arguments)
        if name.startswith("sgd") and states == 1:
            given.insert(1, "None")
            states = 2
        tail = states + (2 if outer else 1)
        room = ["B.tile"] if outer else []
        return f"kernels.{name}({', '.join([*given[:tail], *room, *given[tail:], f'**{line.settings}'])})"

    return Template(text, order=Order.ALIKE)


UPDATES: dict[str, Template] = {
    **{name: update(name) for name in ("sgd", "sgd_outer", "adam", "adam_outer")},
    "clone": Template(lambda line: f"{line.arguments[0]}.clone()", order=Order.ALIKE),
    "copied": kernel("copied", memory=Memory.OVER),
    "stacked": Template(lambda _: "B", Memory.ROWS),
    "copy": Template(lambda line: f"{line.arguments[0]}.copy_({line.arguments[1]})", order=Order.ALIKE),
}
