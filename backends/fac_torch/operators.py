"""Kernels as operators of torch, in whose place a graph of `torch.compile` calls them.

They say which of their operands they write to, so that the graph need not copy what they do not. A step that is not
compiled calls the functions themselves: going by the dispatcher would cost it some microseconds for each.
`torch.library.custom_op` would register the same, with 50 µs for each call of a function of as many operands, in which
a small network makes its step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from itertools import count
from types import SimpleNamespace
from typing import Any, get_type_hints

import torch

from fac_torch import kernels
from fac_torch.update_kernels import Count, Rate

Tensor = torch.Tensor
NAMESPACE = "fac"
MOVES: dict[str, tuple[str, ...]] = {
    "sgd": ("w", "m"),
    "adam": ("w", "mean", "square", "largest"),
    "rmsprop": ("w", "square", "mean", "m"),
}
"""By the name of a kernel the operands that it writes to."""
MOVES |= {f"{name}_outer": (*moved, "room") for name, moved in MOVES.items()}
OPAQUE = (
    "batch_norm_moments",
    *("attend", "attend_with_logsum", "attend_back", "attend_back_alone"),
    *("scatter", "unpick", "max_pool2d_back", "upsample2d_input"),
)
"""Kernels without such operands that are not looked into: batch norms write to numbers of theirs; those of attention
are torch's best as they are, and change its settings; the others add up what meets in one place in an order of their
own, where compiled loops of several threads would have none."""
TYPES: dict[object, str] = {
    Tensor: "Tensor",
    Tensor | None: "Tensor?",
    Rate: "Tensor",
    Count: "Tensor",
    float: "float",
    bool: "bool",
    int: "int",
    str: "str",
    str | None: "str?",
    tuple[int, ...]: "int[]",
    tuple[int, int]: "int[]",
}
NUMBERS: dict[object, type] = {Rate: float, Count: int}
"""Operands that a graph has as tensors on the host. The kernel gets Python's, and rounds as it does in any step."""


@cache
def kernels_of_graphs() -> SimpleNamespace:
    """What a compiled step calls `kernels`: these operators, and all else as it is."""
    names = {name: defined(name) for name in (*MOVES, *OPAQUE)}
    return SimpleNamespace(**{**vars(kernels), **names})


@cache
def defined(name: str) -> Callable[..., Any]:
    """The operator `fac::NAME` of a kernel, made when it is first asked for."""
    function: Callable[..., Any] = getattr(kernels, name)
    moved = MOVES.get(name, ())
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters
    operands = {key: hints[key] for key in parameters if key != "out"}
    marks = count()

    def declared(key: str) -> str:
        kind = TYPES[operands[key]]
        mark = f"Tensor({chr(ord('a') + next(marks))}!)" if key in moved else "Tensor"
        default = "=None" if parameters[key].default is None else ""
        return f"{kind.replace('Tensor', mark)} {key}{default}"

    given = ", ".join(map(declared, operands))
    whole = f"{NAMESPACE}::{name}"
    torch.library.define(whole, f"({given}) -> {'()' if moved else _returned(hints['return'])}")
    numbers = [(at, NUMBERS[kind]) for at, kind in enumerate(operands.values()) if kind in NUMBERS]

    def moving(*operands: Any) -> None:
        """The kernel. Its rates and counts are numbers that are read on the host."""
        known = [*operands]
        for at, kind in numbers:
            known[at] = kind(known[at].item())
        function(*known)

    def making(*operands: Any) -> Any:
        """The kernel's results, maps as they are and all else row by row: a graph has to know how they lie."""
        made = function(*operands)
        return _told(made) if isinstance(made, Tensor) else tuple(map(_told, made))

    torch.library.impl(whole, "CompositeExplicitAutograd")(moving if moved else making)
    torch.library.register_fake(whole)((lambda *operands: None) if moved else making)
    found: Callable[..., Any] = getattr(getattr(torch.ops, NAMESPACE), name)
    return found


def _told(made: Tensor) -> Tensor:
    return made if made.dim() == 4 else made.contiguous()


def _returned(hint: Any) -> str:
    return "Tensor" if hint is Tensor else f"({', '.join(['Tensor'] * len(hint.__args__))})"
