"""Runs a function of the step IR, op by op."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.step.feed import fed
from fac.step.ir import Function, Op, Value
from fac_reference.kernels import KERNELS, Run, is_number

Observer = Callable[[Op, Any], None]


def run(
    function: Function,
    inputs: Mapping[str, Any],
    dtype: np.dtype[Any],
    observe: Observer = lambda *_: None,
) -> dict[str, Any]:
    """The outputs by name.

    Args:
        function: what to run.
        inputs: arrays by the names of the function's inputs, FLOAT ones in `dtype`; scalars as Python numbers.
        dtype: of FLOAT values.
        observe: called with every op and its result.

    Scalars that come from constants and scalar inputs alone stay Python numbers. Those have double precision and
    take on the type of the arrays that they meet, so `1 - beta ** t` is not rounded to float32. What no later op reads
    is given back at once.
    """
    values: dict[Value, Any] = {value: inputs[value.name] for value in function.inputs}
    n = next((len(inputs[value.name]) for value in function.inputs if fed(value)), 0)  # 0: of no batch
    last = {value: op for op in function.ops for value in (op.result, *op.operands)}
    for _, value in function.outputs:
        last.pop(value, None)
    with np.errstate(all="ignore"):
        for op in function.ops:
            operands = [values[v] for v in op.operands]
            result = KERNELS[op.kind](Run(op, n, dtype), *operands)
            if op.result.type.shape == () and all(map(is_number, operands)):
                result = result.item() if isinstance(result, np.generic) else result
            values[op.result] = result
            observe(op, result)
            for value in (op.result, *op.operands):
                if last.get(value) is op:
                    values.pop(value, None)
            del operands, result
    return {name: values[value] for name, value in function.outputs}


def as_array(value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A FLOAT output as an array of its own, row by row: sums depend on how their operands lie in memory."""
    return np.array(value, dtype, order="C")
