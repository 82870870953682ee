"""The passes of the torch backend, in the order in which they run, and what becomes of a function by them.

The order of statements and where values live are chosen in between and behind, whatever is disabled: that is no pass.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from typing import Any

from fac.step.ir import Function, Value
from fac.step.transform import Pass, transformed
from fac_torch.adding import ADDCMUL, ADDMM
from fac_torch.aside import apart
from fac_torch.cheaper import CHEAPER_MAPS
from fac_torch.draft import Draft
from fac_torch.joining import JOIN_PARTS
from fac_torch.looking import ATTENTION_BACK
from fac_torch.lowering import drafted
from fac_torch.maps import CHANNELS_LAST
from fac_torch.marked import FACTOR_UPDATES, HASH_KERNEL, UPDATE_KERNELS
from fac_torch.measuring import MEASURES
from fac_torch.narrow import NARROW_PRODUCTS
from fac_torch.parts import LOOK_AT_PARTS
from fac_torch.schedule import WRITE_THROUGH, assert_old_values, schedule
from fac_torch.stacking import placeable
from fac_torch.tied import TIE_ROWS
from fac_torch.together import CONV_BIAS, POOL_BACK, SEVERAL_RESULTS

ON_FUNCTIONS: tuple[Pass[Function], ...] = (CHEAPER_MAPS,)
"""Of steps alone."""
ON_STATEMENTS: tuple[Pass[Draft], ...] = (
    HASH_KERNEL,
    MEASURES,
    UPDATE_KERNELS,
    TIE_ROWS,
    FACTOR_UPDATES,
    ADDMM,
    NARROW_PRODUCTS,
    ADDCMUL,
    JOIN_PARTS,
    CONV_BIAS,
    POOL_BACK,
    ATTENTION_BACK,
    SEVERAL_RESULTS,
    CHANNELS_LAST,
    LOOK_AT_PARTS,
)
IN_ORDER: tuple[Pass[Draft], ...] = (WRITE_THROUGH,)
"""Of steps alone, once it is known what runs when."""
PASSES: tuple[Pass[Any], ...] = (*ON_FUNCTIONS, *ON_STATEMENTS, *IN_ORDER)


def written(
    function: Function, literals: Container[Value], disabled: Collection[str] = (), *, moves: bool
) -> Draft:
    """The statements of a function, in the order in which they are written.

    Args:
        function: in ops that have templates.
        literals: see `drafted`.
        disabled: the names of passes that are left out.
        moves: whether it is a step.
    """
    if moves:
        function = transformed(function, ON_FUNCTIONS, disabled)
    draft = transformed(drafted(function, literals, moves=moves), ON_STATEMENTS, disabled)
    if not moves:
        return draft
    # what is given out is copied where it might be a view: not for the sake of time, so nothing may drop it
    draft = draft.rewritten(schedule(apart(draft.lines, draft.keep)))
    draft = transformed(draft, IN_ORDER, disabled)
    assert_old_values(draft.lines)
    return draft.rewritten(placeable(draft.lines))
