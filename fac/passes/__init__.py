"""Passes: `Function -> Function`, each a pure function in its own file. The order of the tuple is the run order."""

from __future__ import annotations

from collections.abc import Callable, Collection

from fac.passes.common import SHARE_COMMON
from fac.passes.dead import DROP_DEAD
from fac.passes.fold import FOLD_CONSTANTS
from fac.passes.turn import TURN_MATRICES
from fac.step.ir import Function
from fac.step.transform import Pass, transformed, unnoticed

PASSES: tuple[Pass[Function], ...] = (FOLD_CONSTANTS, TURN_MATRICES, SHARE_COMMON, DROP_DEAD)


def optimise(
    function: Function,
    disabled: Collection[str] = (),
    after: Callable[[Pass[Function], Function], None] = unnoticed,
) -> Function:
    """Run all passes but those that are disabled; see `transformed`."""
    return transformed(function, PASSES, disabled, after)
