"""What moves state in place, and copies. What moves state has no result, or one in memory of its own."""

from __future__ import annotations

from fac_torch.statements import SLOTS
from fac_torch.templates.base import Line, Memory, Order, Template, kernel


def update(name: str) -> Template:
    """An optimiser kernel: state first, then the gradient or its factors, then scalars, then settings."""
    slots = SLOTS[name.removesuffix("_outer")]

    def text(line: Line) -> str:
        states = len(line.statement.updates)
        names = (value.name.rpartition(".")[2] for value in line.statement.updates[1:])
        moved = dict(zip(names, line.arguments[1:states], strict=True))
        state = [line.arguments[0], *(moved.get(slot, "None") for slot in slots)]
        tail = states + (2 if name.endswith("_outer") else 1)
        room = ["B.tile"] if name.endswith("_outer") else []
        given = (*state, *line.arguments[states:tail], *room, *line.arguments[tail:], f"**{line.settings}")
        return f"kernels.{name}({', '.join(given)})"

    return Template(text, order=Order.ALIKE)


UPDATES: dict[str, Template] = {
    **{name: update(name) for kernel in SLOTS for name in (kernel, f"{kernel}_outer")},
    "clone": Template(lambda line: f"{line.arguments[0]}.clone()", order=Order.ALIKE),
    "copied": kernel("copied", memory=Memory.OVER),
    "stacked": Template(lambda _: "B", Memory.ROWS),
    "copy": Template(lambda line: f"{line.arguments[0]}.copy_({line.arguments[1]})", order=Order.ALIKE),
}
