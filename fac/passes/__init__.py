"""Passes: `Function -> Function`, each a pure function in its own file. The order of the tuple is the run order."""

from __future__ import annotations

from collections.abc import Callable

from fac.passes.common import share_common
from fac.passes.dead import drop_dead
from fac.passes.fold import fold_constants
from fac.passes.turn import turn_matrices
from fac.step.ir import Function

Pass = Callable[[Function], Function]

PASSES: tuple[Pass, ...] = (fold_constants, turn_matrices, share_common, drop_dead)


def optimise(function: Function, after: Callable[[Pass, Function], None] = lambda *_: None) -> Function:
    """Run all passes. `after(pass, result)` is called after each, to print or to verify."""
    for step in PASSES:
        function = step(function)
        after(step, function)
    return function
