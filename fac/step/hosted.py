"""Functions on the host that a step hands rows to: a device of its own between two halves of the step, or a stand-in.

The op `host` names one. What it makes of rows has to depend on these alone: a step that is made again, as one that goes
on after an interruption, has to be the same. The device that computes the rest waits meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fac.diagnostics import FacError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Hosted = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""`function(rows)`: [n, width] real numbers of rows [n, reads], which it may not write to. n differs from call to
call."""

_known: dict[str, Hosted] = {}


def on_host(name: str, function: Hosted) -> str:
    """Make a function known to steps by a name, which `Builder.host` takes.

    Args:
        name: new, such as `lab.projector`; it stands in the step.
        function: see `Hosted`.

    Returns:
        The name.

    Raises:
        FacError: another function has it.
    """
    if _known.setdefault(name, function) is not function:
        raise FacError(f"two functions on the host are called `{name}`: give one of them another name")
    return name


def names() -> tuple[str, ...]:
    """Of all that are known."""
    return tuple(_known)


def carried_out(name: str, rows: NDArray[Any], width: int) -> NDArray[Any]:
    """What the function of that name makes of rows, in their precision.

    Raises:
        FacError: there is none, it fails, or makes something else than [n, width] real numbers.
    """
    import numpy as np

    from fac.plugins import told

    function = _known.get(name)
    if function is None:
        raise FacError(
            f"a step hands rows to `{name}`, and no plug-in that is loaded says `on_host({name!r}, ...)`"
        )
    given = rows.view()
    given.flags.writeable = False
    try:
        made = np.asarray(function(given))
    except FacError:
        raise
    except Exception as error:
        raise FacError(f"`{name}`, which is carried out on the host, fails with {told(error)}") from error
    if made.shape != (len(rows), width) or made.dtype.kind not in "iuf":
        raise FacError(
            f"`{name}`, which is carried out on the host, makes {made.dtype} {list(made.shape)} of rows "
            f"{list(rows.shape)}: real numbers {[len(rows), width]} are needed"
        )
    return np.ascontiguousarray(made, rows.dtype)
