"""What comes in from outside is an array that fits the spec, or a clear message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from fac.backend.compiled import STEP, Array, Compiled, Precision
from fac.backend.partial_state import require_parameters, require_whole
from fac.diagnostics import FacError

COUNTS = ".num_batches_tracked"
"""How names of a `state_dict` end that PyTorch keeps beside the averages of a batch normalisation."""


def check_state(
    compiled: Compiled, state: Mapping[str, Any], precision: Precision, whole: bool = True
) -> tuple[dict[str, Array], int]:
    """(arrays by name, number of steps made), if the state is one of this spec.

    The arrays lie in memory row by row, whatever came in: on that depend the last bits of sums, and so whether a run
    that resumes goes on as it would have.

    Args:
        compiled: the spec.
        state: arrays by name.
        precision: that they get.
        whole: whether all arrays have to be there, or the parameters only.

    Raises:
        FacError: naming the first few differences.
    """
    if not isinstance(state, Mapping):
        raise FacError(f"a state is a mapping from names to arrays, not {type(state).__name__}")
    wanted = {slot.name: slot.shape for slot in compiled.state}
    problems = [f"`{name}` is unknown" for name in state if name not in wanted and name != STEP]
    arrays: dict[str, Array] = {}
    for name in (name for name in wanted if name in state):
        array = _array(name, state[name])
        if array.shape != wanted[name]:
            problems.append(f"`{name}` is {list(array.shape)}, not {list(wanted[name])}")
        arrays[name] = _numbers(name, array).astype(precision, order="C")
    if problems:
        # What is there and wrong says more than what is missing, and what can be derived is not missed.
        needed = [slot.name for slot in compiled.state if whole or slot.parameter]
        problems += [f"`{name}` is missing" for name in needed if name not in state]
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        if any(name.endswith(COUNTS) and name not in wanted for name in state):
            more += f": leave out `*{COUNTS}`, which PyTorch counts and nothing here reads"
        raise FacError(
            f"the state belongs to another spec than `{compiled.name}`: {'; '.join(problems[:3])}{more}"
        )
    (require_whole if whole else require_parameters)(compiled, state)
    steps = _array(STEP, state.get(STEP, 0))
    if steps.shape != () or steps.dtype.kind not in "iu" or not 0 <= steps < 2**63:
        raise FacError(f"`{STEP}` of the state has to be a whole number, not {steps}")
    return arrays, int(steps)


def check_x(compiled: Compiled, x: Any) -> Array:
    """X as an array of samples; whole numbers become floats.

    Raises:
        FacError: it does not have the spec's input shape, or holds no real numbers.
    """
    samples = _array("x", x)
    check_batch("x", samples.shape, compiled.sample)
    return _numbers("x", samples)


def check_y(compiled: Compiled, y: Any, n: int) -> Array:
    """Y as an array of labels or targets for `n` samples.

    Raises:
        FacError: labels that are not whole numbers in range, or targets of another shape.
    """
    given = _array("y", y)
    if not compiled.classes:
        check_batch("y", given.shape, compiled.output, n)
        return _within(_numbers("y", given), compiled.within)
    classes = compiled.output[-1]
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise FacError(
            f"y has to hold {n} whole-number labels, not {given.dtype} of shape {list(given.shape)}"
        )
    if given.min() < 0 or given.max() >= classes:
        bad = int(np.flatnonzero((given < 0) | (given >= classes))[0])
        raise FacError(f"label {given[bad]} of sample {bad} is not in 0..{classes - 1}")
    return given


def _within(y: Array, bounds: tuple[float, float] | None) -> Array:
    if bounds is not None:
        low, high = bounds
        wrong = ~((low <= y) & (y <= high))
        if wrong.any():
            place = np.unravel_index(int(wrong.argmax()), y.shape)
            raise FacError(f"target {y[place]} of sample {place[0]} is not in [{low:g}, {high:g}]")
    return y


def check_batch(name: str, shape: Sequence[int], sample: tuple[int, ...], n: int | None = None) -> None:
    """A batch of `n` samples, or of any number but none.

    Raises:
        FacError: it has another shape.
    """
    if tuple(shape[1:]) != sample or not shape or shape[0] == 0 or shape[0] != (n or shape[0]):
        wanted = ", ".join(map(str, (n or "N", *sample)))
        asks = "`input.shape` asks for" if name == "x" else "the loss asks for"
        raise FacError(f"{name} has shape {list(shape)}, but {asks} [{wanted}]{'' if n else ', N > 0'}")


def check_placed(
    compiled: Compiled, name: str, placed: Any, precision: Precision, n: int | None = None
) -> None:
    """What `place` gave, read as x, or as y for `n` samples.

    Raises:
        FacError: it has another shape, or holds integers where numbers belong or the other way round.
    """
    labels = name == "y" and compiled.classes
    check_batch(name, placed.shape, compiled.sample if name == "x" else () if labels else compiled.output, n)
    wanted = "int64" if labels else precision
    if _named(placed.dtype) != wanted:
        raise FacError(
            f"{name} was placed as {placed.dtype}, where {wanted} belongs: place an array of such numbers"
        )


@cache
def _named(dtype: Any) -> str:
    """NumPy says `int64`, torch `torch.int64`."""
    return str(dtype).rpartition(".")[2]


def _array(name: str, value: Any) -> Array:
    # Tensors of frameworks that keep a graph or live on a device have to leave them first.
    value = value.detach().cpu() if hasattr(value, "detach") else value
    # NumPy has no such type; float32 holds its numbers exactly.
    value = value.float() if str(getattr(value, "dtype", "")) == "torch.bfloat16" else value
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise FacError(f"`{name}` is not an array: {error}") from error


def _numbers(name: str, array: Array) -> Array:
    if array.dtype.kind not in "fiub":
        raise FacError(f"`{name}` holds {array.dtype}, not real numbers")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
