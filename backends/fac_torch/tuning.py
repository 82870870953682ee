"""What is left to be chosen of a session: the library of float32 products, how maps lie, threads, what makes a step.

How many threads there are is no choice where somebody has said it, with `OMP_NUM_THREADS`. A step that is compiled is
none that is tried by itself: it takes half a minute to be made.

Sizes of tiles are none of it. On Zen 4, 256 KiB to 8 MiB in the place of 2 made steps of 784-W-W-W-W-10 slower, at W
1024 as at 2048: by 1 to 14 %.
"""

from __future__ import annotations

import os

import torch

from fac.backend import ALL, COMPILED, ONE, STEP_KNOB, THREADS, Compiled, Knob, Precision
from fac.step.ops import OPS
from fac_torch.compiling import compiles
from fac_torch.device import chosen, float32_libraries
from fac_torch.maps import CHANNELS_LAST
from fac_torch.session import PRODUCTS, usual_products
from fac_torch.templates import TEMPLATES, Order

MAPS = "maps"
LAST, ROWS, EAGER = "last", "rows", "eager"
LITTLE = 0.05
"""Of the multiply-adds of a step: products that are no more than that gain nothing by another library."""
LIBRARIES = {"highest": "torch's own setting", "medium": "oneDNN, where that is float32"}
STEPS = {
    EAGER: "one kernel of torch after the other",
    COMPILED: "loops that `torch.compile` makes, and a C++ compiler",
}
ORDERS = {LAST: "all channels of a pixel together", ROWS: "row by row, one channel after the other"}


def knobs(compiled: Compiled, precision: Precision, device: str | None) -> tuple[Knob, ...]:
    """Those that a step has there.

    Args:
        compiled: of which the step is emitted.
        precision: of its floats. Other libraries of products are for float32 alone.
        device: the default one if not given.
    """
    kind, found = chosen(device).type, list[Knob]()
    if kind == "cpu" and torch.get_num_threads() > 1 and "OMP_NUM_THREADS" not in os.environ:
        # first of all: on one thread other libraries may be faster than on several
        found.append(Knob(THREADS, {ALL: f"all {torch.get_num_threads()}", ONE: "a single one"}, ALL))
    if precision == "float32" and _share(compiled) > LITTLE:
        libraries = {name: LIBRARIES[name] for name in float32_libraries(kind)}
        found.append(Knob(PRODUCTS, libraries, usual_products(compiled, precision, kind)))
    if any(op.kind in TEMPLATES and TEMPLATES[op.kind].order is Order.LAST for op in compiled.step.ops):
        orders = {ROWS: ORDERS[ROWS]} if CHANNELS_LAST.name in compiled.disabled else ORDERS
        found.append(Knob(MAPS, orders, next(iter(orders))))
    if kind == "cpu":
        steps = STEPS if compiles() else {EAGER: STEPS[EAGER]}
        found.append(Knob(STEP_KNOB, steps, EAGER, asked=True))
    return tuple(found)


def _share(compiled: Compiled) -> float:
    """Of products of matrices in all multiply-adds: convolutions go their own way."""
    total = products = 0
    for op in compiled.step.ops:
        if (macs := OPS[op.kind].macs) is not None:
            found = macs(op, compiled.recipe.batch)
            total += found
            products += 0 if op.kind.startswith("conv") else found
    return products / total if total else 0.0
