"""Products with a matrix of the module, whichever way round it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fac.backend import Call
from fac.importing.applied import last
from fac.importing.bound import bound
from fac.importing.layout import Value
from fac.importing.network import Network
from fac.importing.reader import Reader, number, tensor
from fac.importing.scores import product
from fac.layers import Linear
from fac.program.kinds import NoCounterpartError

Args = dict[str, Any]


def matmul(network: Network, call: Call, args: Args) -> Value:
    """X [..., in] times a matrix [in, out]: a layer without a bias."""
    x, weight = args["self"], args.get("other", args.get("mat2"))
    if isinstance(weight, Value) and weight.array is None and getattr(x, "array", None) is None:
        return product(network, call, x, weight)
    return _linear(network, call, x, weight, None)


def addmm(network: Network, call: Call, args: Args) -> Value:
    """The same with a bias."""
    if number(args["beta"]) != 1 or number(args["alpha"]) != 1:
        raise NoCounterpartError("a sum of a bias and a product without factors")
    return _linear(network, call, args["mat1"], args["mat2"], args["self"])


def _linear(network: Network, call: Call, x: Any, weight: Any, bias: Any) -> Value:
    if not isinstance(weight, Value) or weight.array is None or len(weight.axes) != 2:
        raise NoCounterpartError("a product of a tensor with a matrix that is an array of the module")
    arrays = {"weight": bound(weight.permuted((1, 0)))}
    if bias is not None:
        if not isinstance(bias, Value) or bias.array is None:
            raise NoCounterpartError("a `bias` that is an array of the module, and not computed")
        arrays["bias"] = bound(bias)
    layer = Linear(out=weight.shape[1], bias=bias is not None)
    return last(network, call, layer, tensor(x), arrays)


READERS: Mapping[str, Reader] = {
    **dict.fromkeys(("aten.matmul", "aten.mm", "aten.bmm"), matmul),
    "aten.addmm": addmm,
}
