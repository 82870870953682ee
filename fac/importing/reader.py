"""What reads an operation that is no layer by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fac.backend import Call
from fac.importing.layout import Value
from fac.importing.network import Network
from fac.program.kinds import NoCounterpartError

Reader = Callable[[Network, Call, dict[str, Any]], Any]
"""`reader(network, call, args)`: the value that an operation makes, a list of values, or a number.

NotImplemented says that it is a layer, if it is anything: see `LayerKind.counterparts`.
"""


def number(value: Any) -> float | None:
    """The one number that an argument is, be it kept as a tensor; None if it is none."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def tensor(value: Any) -> Value:
    """What a layer makes.

    Raises:
        NoCounterpartError: it is something else.
    """
    if not isinstance(value, Value) or value.array is not None:
        raise NoCounterpartError("a tensor that depends on the input of the network")
    return value
