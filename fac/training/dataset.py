"""Data sets in memory, how they are fitted to a network, and the order of their samples.

This module and the data sources import NumPy inside functions only: to check a spec one needs the kinds, and
checking must stay quick and free of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fac.diagnostics import FacError
from fac.spec.data import Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Precision
    from fac.program.kinds import LossKind

D = TypeVar("D", bound=Data)


@dataclass(frozen=True, eq=False, slots=True)
class Split:
    """The samples of one purpose, n of them."""

    x: NDArray[Any]
    """(n, *sample shape), floats or integers."""
    y: NDArray[Any]
    """(n,) integer class labels, or (n, *output) targets, for a loss with bounds integers or truth values too."""


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """What a data source loads."""

    name: str
    """What messages call it."""
    train: Split
    test: Split


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the samples of a source before any is read."""

    sample: tuple[int, ...]
    """Shape of one x."""
    outputs: int
    """Number of classes, or of targets of each sample."""
    classes: bool
    """Whether y holds class labels."""
    train: int
    """Number of samples to train on."""
    within: tuple[float, float] | None = None
    """Between which numbers targets lie; None if only the data can tell."""

    def fit(self, shape: tuple[int, ...]) -> bool:
        """Whether samples fit an input of that shape, see `fits`."""
        return fits(self.sample, shape)


@dataclass(frozen=True)
class DataKind(Generic[D]):
    """One data source: a member of the entry-point group `fac.data`."""

    name: str
    """The value of `source` in the spec."""
    spec: type[D]
    load: Callable[[D, Path, Precision], Dataset]
    """Reads or makes the data. Relative paths in the spec start from the second argument. Floats have at least the
    precision of the third: what is less exact would stay so in a run of float64, and more takes memory for nothing."""
    facts: Callable[[D], Facts | None] = lambda _: None
    """For `fac check`, which reads no data; None if only the data can tell."""


def fitted(
    dataset: Dataset, sample: tuple[int, ...], output: tuple[int, ...], loss: LossKind, precision: Precision
) -> Dataset:
    """The data set with x of shape (n, *sample), checked for all that would fail late or silently.

    Args:
        dataset: what a source loaded.
        sample: `input.shape` of the spec, without the batch.
        output: shape of the network's output, likewise.
        loss: says whether y are class labels or targets of shape (n, *output), and between which numbers these lie.
        precision: of the floats, that of the session which reads them.

    Raises:
        FacError: a split is empty, x and y differ in length, samples do not fit `sample` (see `fits`), a number is
            not finite, or y is not what the loss reads.

    """
    splits = []
    for part, split in (("train", dataset.train), ("test", dataset.test)):
        place = f"the `{part}` split of `{dataset.name}`"
        if len(split.x) != len(split.y):
            raise FacError(
                f"{place} has {len(split.x)} samples in x but {len(split.y)} in y: give each x exactly one y"
            )
        if len(split.x) == 0:
            raise FacError(f"{place} is empty: give it at least one sample")
        x = _samples(split, sample, place, precision)
        y = (
            _labels(split, output[-1], place)
            if loss.classes
            else _targets(split, output, loss, place, precision)
        )
        splits.append(Split(x, y))
    return Dataset(dataset.name, *splits)


def fits(stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether samples of one shape can be given another without moving a value to other coordinates.

    They can if one of the two is flat, so that it says nothing of coordinates, or if they differ in axes of length 1
    alone, as grey images of (28, 28) and (1, 28, 28) do. Channels last do not become channels first that way.
    """
    if len(stored) <= 1 or len(wanted) <= 1:
        return prod(stored) == prod(wanted)
    return [d for d in stored if d != 1] == [d for d in wanted if d != 1]


def remedy(stored: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What to do about samples that do not fit: turn their axes if that is all, or declare the shape they have."""
    flat = f" or `[{prod(stored)}]`" if len(stored) > 1 else ""
    declare = f"write `input: {{shape: {list(stored)}}}`{flat}"
    if sorted(stored) != sorted(wanted):
        return declare
    left, axes = list(stored), []
    for size in wanted:
        axes.append(left.index(size))
        left[axes[-1]] = -1  # taken; equal axes keep their order
    turned = ", ".join(str(axis + 1) for axis in axes)
    return f"if only the axes are in another order, store `x.transpose(0, {turned})`; else {declare}"


def fingerprint(split: Split, precision: Precision) -> str:
    """A digest of the samples, their order and shapes, floats rounded to a precision: 32 hexadecimal digits.

    Fashion-MNIST (188 MB) takes a quarter of a second, once per training.
    """
    import hashlib

    import numpy as np

    digest = hashlib.blake2b(digest_size=16)
    for array in (split.x, split.y):
        if array.dtype.kind == "f":
            array = array.astype(precision, copy=False)
        digest.update(f"{array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B"))
    return digest.hexdigest()


def order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """(n,) permutation of 0..n-1 in which the samples are visited in `epoch`.

    It depends on the three arguments alone, so a resumed training goes on with the same batches. Seed and
    epoch lie in 0..2⁶⁴-1. Raw Philox words are sorted rather than `Generator.permutation` called, because
    NumPy may change the algorithm of the latter between releases.
    """
    import numpy as np

    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(n)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def _samples(split: Split, shape: tuple[int, ...], place: str, precision: Precision) -> NDArray[Any]:
    stored = split.x.shape[1:]
    if not fits(stored, shape):
        raise FacError(
            f"samples in {place} have shape {list(stored)}, but `input.shape` is {list(shape)}: "
            f"{remedy(stored, shape)}"
        )
    return _finite(split.x, "x", place, precision).reshape(-1, *shape)


def _labels(split: Split, outputs: int, place: str) -> NDArray[np.int64]:
    import numpy as np

    y = split.y
    if y.dtype.kind not in "iu" or y.ndim != 1:
        # (n,) floats have become (n, 1): the file may say otherwise
        shape = "" if y.ndim == 1 else f"shape {list(y.shape)} of "
        found = "floats" if y.dtype.kind == "f" else f"{shape}{y.dtype}"
        raise FacError(
            f"y in {place} holds {found}, but the loss needs integer labels of shape (n,): give such labels, or a "
            "loss on targets such as `mse`"
        )
    wrong = (y < 0) | (y >= outputs)
    if wrong.any():
        index = int(wrong.argmax())
        raise FacError(
            f"label {y[index]} of sample {index} in {place} is out of range: "
            f"the network has {outputs} outputs, so labels must be 0 to {outputs - 1}"
        )
    return y.astype(np.int64, copy=False)


def _targets(
    split: Split, output: tuple[int, ...], loss: LossKind, place: str, precision: Precision
) -> NDArray[Any]:
    y = split.y
    wanted = ", ".join(map(str, ("n", *output)))
    # In bounds, as 0 and 1 are, integers and truth values can be nothing but targets, if there are enough of them.
    if y.dtype.kind != "f" and (loss.within is None or (y.ndim == 1 and not fits((), output))):
        labels = y.ndim == 1 and y.dtype.kind != "b"
        raise FacError(
            f"y in {place} holds {y.dtype}{' labels' * labels}, but `{loss.name}` needs float targets of shape "
            f"({wanted}): give such targets{', or write `loss: {kind: cross_entropy}`' * labels}"
        )
    if not fits(y.shape[1:], output):
        outputs = f"{output[0]} outputs" if len(output) == 1 else f"an output of shape {list(output)}"
        raise FacError(
            f"y in {place} has shape {list(y.shape)}, but the network has {outputs}: "
            f"give targets of shape ({wanted})"
        )
    y = _finite(y, "y", place, precision)
    low, high = loss.within or (-inf, inf)
    if not low <= y.min() <= y.max() <= high:
        position = int(((y < low) | (y > high)).argmax())
        raise FacError(
            f"target {y.flat[position]} of sample {position // (y.size // len(y))} in {place} is out of range: "
            f"`{loss.name}` needs targets from {low:g} to {high:g}"
        )
    return y.reshape(-1, *output)


def _finite(values: NDArray[Any], name: str, place: str, precision: Precision) -> NDArray[Any]:
    """The values in a precision; one too large for it counts as infinite."""
    import numpy as np

    with np.errstate(over="ignore"):
        numbers = values.astype(precision, copy=False)
    good = np.isfinite(numbers)
    if not good.all():
        # argmin finds the first False without a list of all of them
        position = int(good.argmin())
        index = position // (numbers.size // len(numbers))
        raise FacError(
            f"{name} of sample {index} in {place} holds {numbers.flat[position]}: "
            f"remove or replace values that are not finite in {precision}"
        )
    return numbers
