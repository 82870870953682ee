"""What comes in from outside is an array that fits the spec, or a clear message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from math import isfinite
from typing import Any

import numpy as np

from fac.backend.compiled import STEP, Array, Compiled, Precision
from fac.backend.partial_state import require_parameters, require_whole
from fac.diagnostics import FacError
from fac.step.feed import Feed
from fac.step.shapes import fits

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
        arrays[name] = held(name, _numbers(name, array), precision)
    if problems:
        # What is there and wrong says more than what is missing, and what can be derived is not missed.
        needed = [slot.name for slot in compiled.state if whole or slot.parameter]
        problems += [f"`{name}` is missing" for name in needed if name not in state]
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        if any(str(name).endswith(COUNTS) and name not in wanted for name in state):
            more += f": leave out `*{COUNTS}`, which PyTorch counts and nothing here reads"
        raise FacError(
            f"the state belongs to another spec than `{compiled.name}`: {'; '.join(problems[:3])}{more}"
        )
    for slot in compiled.state:
        if slot.below is not None and slot.name in arrays:
            _whole(slot.name, arrays[slot.name], slot.below)
    (require_whole if whole else require_parameters)(compiled, state)
    steps = _array(STEP, state.get(STEP, 0))
    if steps.shape != () or steps.dtype.kind not in "iu" or not 0 <= steps < 2**63:
        raise FacError(f"`{STEP}` of the state has to be a whole number, not {steps}")
    return arrays, int(steps)


def _whole(name: str, array: Array, below: int) -> None:
    """Whole numbers that name something: nothing else may come to where they are looked up."""
    wrong = ~((array >= 0) & (array < below) & (array == np.floor(array)))
    if wrong.any():
        place = np.unravel_index(int(wrong.argmax()), array.shape)
        at = f"{array[place]:g} at {list(map(int, place))}"
        raise FacError(f"`{name}` has to hold whole numbers from 0 to {below - 1}, and has {at}")


def held(name: str, array: Array, precision: Precision, *, copy: bool = True) -> Array:
    """Numbers in a precision, row by row. What is not finite stays so.

    Args:
        name: for the message.
        array: of floats.
        precision: that they get.
        copy: even where nothing changes.

    Raises:
        FacError: one is finite, and too large for the precision.
    """
    with np.errstate(over="ignore"):
        found = array.astype(precision, order="C", copy=copy)
    if found.dtype.itemsize < array.dtype.itemsize:
        lost = np.isinf(found) & np.isfinite(array)
        if lost.any():
            place = tuple(map(int, np.unravel_index(int(lost.argmax()), array.shape)))
            raise FacError(
                f"`{name}` holds {array[place]:.3g} at {list(place)}, more than the {np.finfo(precision).max:.3g} that "
                f"{precision} reaches: use float64, or numbers of another size"
            )
    return found


def named(compiled: Compiled, feeds: Sequence[Feed], x: Any, y: Any = None) -> Mapping[str, Any]:
    """The arrays of a batch by the names of its feeds.

    Args:
        compiled: the spec.
        feeds: what is needed of it: all, or what the network reads.
        x: a mapping from names to arrays; or the one array that the network reads.
        y: the one target, if x is no mapping.

    Raises:
        FacError: one is missing, or is none of the spec; or there are several, and no names.
    """
    needed = [feed.name for feed in feeds]
    if not isinstance(x, Mapping):
        short = (x,) if y is None else (x, y)
        if len(compiled.inputs) != 1 or len(compiled.targets) != 1:
            raise FacError(
                f"`{compiled.name}` is fed with {_all(needed)}: give a mapping from these names to arrays"
            )
        if len(short) < len(needed):
            raise FacError(f"the batch lacks y: `{compiled.name}` is fed with {_all(needed)}")
        return dict(zip(needed, short, strict=False))
    if y is not None:
        raise FacError("y is given beside a mapping: put it into the mapping, under its name")
    known = [feed.name for feed in compiled.feeds]
    for name in x:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise FacError(f"the batch has `{name}`, and `{compiled.name}` is fed with {_all(known)}{hint}")
    missing = [name for name in needed if name not in x]
    if missing:
        raise FacError(f"the batch lacks {_all(missing)}: `{compiled.name}` is fed with {_all(needed)}")
    return {name: x[name] for name in needed}


def _all(names: Sequence[str]) -> str:
    """`a`, `b` and `c`."""
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}" if first else last


def check_feed(feed: Feed, value: Any, n: int | None = None) -> Array:
    """An array of a batch, checked; where real numbers belong, whole ones become floats.

    Args:
        feed: says what it holds.
        value: the array.
        n: the number of samples; any but none if not given.

    Raises:
        FacError: it has another shape, holds no such numbers, or one that is out of range.
    """
    given = _array(feed.name, value)
    if feed.classes is None:
        check_batch(feed, given.shape, n)
        return _mask(_within(_numbers(feed.name, given), feed), feed)
    whole = given.dtype.kind in "iu"
    if feed.loss is not None and (not whole or given.shape != (n or len(given), *feed.shape)):
        many = " x ".join(map(str, (n or len(given), *feed.shape)))
        raise FacError(
            f"{feed.name} has to hold {many} whole-number labels, not {given.dtype} of shape {list(given.shape)}"
        )
    check_batch(feed, given.shape, n)
    if not whole:
        raise FacError(
            f"{feed.name} has to hold whole numbers from 0 to {feed.classes - 1}, not {given.dtype}"
        )
    wrong = _outside(given, feed.classes)
    if feed.ignored is not None:
        wrong &= given != feed.ignored
    if wrong.any():
        place = np.unravel_index(int(wrong.argmax()), given.shape)
        word, of = ("label", feed.of) if feed.loss is not None else (feed.name, "")
        at = f" at {list(map(int, place[1:]))}" * (len(place) > 1)
        also = f", nor {feed.ignored}, which is ignored" * (feed.ignored is not None)
        raise FacError(
            f"{word} {given[place]} of sample {place[0]}{at}{of} is not in 0..{feed.classes - 1}{also}"
        )
    return given


def _outside(given: Array, classes: int) -> Array:
    """Which whole numbers are not in 0..classes - 1. Labels of each step are int64, where one comparison says both."""
    if given.dtype == np.int64:
        beyond: Array = given.view(np.uint64) >= classes  # what is below 0 is beyond all, read without a sign
        return beyond
    return (given < 0) | (given >= classes)


def require_finite(feed: Feed, value: Any) -> None:
    """Numbers that a step may learn from: one that is not finite would come to be in all parameters.

    Raises:
        FacError: one is not finite, with its sample and its place in that.
    """
    given = _array(feed.name, value)
    good = np.isfinite(given)
    if not good.all():
        place = tuple(map(int, np.unravel_index(int(good.argmin()), given.shape)))
        at = f" at {list(place[1:])}" * (len(place) > 1)
        raise FacError(
            f"{feed.name} of sample {place[0]} holds {given[place]}{at}, and a step would spread that to the "
            "parameters: remove or replace numbers that are not finite"
        )


def _within(given: Array, feed: Feed) -> Array:
    if feed.within is not None:
        low, high = feed.within
        wrong = ~((low <= given) & (given <= high))
        if wrong.any():
            place = np.unravel_index(int(wrong.argmax()), given.shape)
            word, of = ("target", feed.of) if feed.loss is not None else (feed.name, "")
            raise FacError(f"{word} {given[place]} of sample {place[0]}{of} is not in [{low:g}, {high:g}]")
    return given


def _mask(given: Array, feed: Feed) -> Array:
    wrong = (given != 0) & (given != 1) if feed.mask else np.False_
    if wrong.any():
        place = np.unravel_index(int(wrong.argmax()), given.shape)
        raise FacError(f"{feed.name} is a mask of 0 and 1, and has {given[place]} in sample {place[0]}")
    return given


def check_batch(feed: Feed, shape: Sequence[int], n: int | None = None) -> None:
    """A batch of `n` samples, or of any number but none.

    Raises:
        FacError: it has another shape.
    """
    if tuple(shape[1:]) != feed.shape or not shape or shape[0] == 0 or shape[0] != (n or shape[0]):
        wanted = ", ".join(map(str, (n or "N", *feed.shape)))
        asks = "the loss" if feed.loss is not None else f"`{feed.origin}.shape`"
        said = f"{feed.name} has shape {list(shape)}, but {asks} asks for [{wanted}]{'' if n else ', N > 0'}"
        if n is None and tuple(shape) == feed.shape:
            said += f": one sample is a batch of one, `{feed.name}[None]`"
        elif shape and 0 < shape[0] == (n or shape[0]) and fits(tuple(shape[1:]), feed.shape):
            sizes = ", ".join(map(str, (-1, *feed.shape)))
            said += f": give `{feed.name}.reshape({sizes})`, which keeps each number's place"
        raise FacError(said)


def check_placed(feed: Feed, placed: Any, precision: Precision, n: int | None = None) -> None:
    """What `place` gave, as an array of a batch of `n` samples.

    Raises:
        FacError: it has another shape, or holds integers where numbers belong or the other way round.
    """
    check_batch(feed, placed.shape, n)
    wanted = precision if feed.classes is None else "int64"
    if _named(placed.dtype) != wanted:
        raise FacError(
            f"{feed.name} was placed as {placed.dtype}, where {wanted} belongs: place an array of such numbers"
        )


@cache
def _named(dtype: Any) -> str:
    """NumPy says `int64`, torch `torch.int64`."""
    return str(dtype).rpartition(".")[2]


def _array(name: str, value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return np.asarray(value)
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


def checked_rate(lr: Any) -> float:
    """A learning rate as a number.

    Raises:
        FacError: it is none, or would move parameters the wrong way or out of all bounds.
    """
    try:
        rate = None if isinstance(lr, str | bytes | bool) else float(lr)
    except (TypeError, ValueError):
        rate = None
    if rate is None:
        raise FacError(f"the learning rate is {lr!r}: give a number, such as 0.1")
    if not isfinite(rate):
        raise FacError(f"the learning rate is {rate}, which would leave no parameter finite")
    if rate < 0:
        raise FacError(f"the learning rate is {rate}, by which the loss would rise: give 0 or more")
    return rate
