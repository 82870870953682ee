"""Data sets as a network reads them: shapes, names and numbers, checked for all that would fail late or silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, prod
from typing import TYPE_CHECKING, Any

from fac.diagnostics import FacError
from fac.step.feed import Feed, matched
from fac.step.shapes import fits
from fac.training.classes import head, require_class_names, require_outputs
from fac.training.dataset import AT_ONCE, Dataset, Split, called

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Precision
    from fac.training.scaling import Scaling


def fitted(
    dataset: Dataset,
    feeds: Sequence[Feed],
    precision: Precision,
    scalings: Mapping[str, Scaling] | None = None,
    *,
    trained: bool = False,
) -> Dataset:
    """The data set with arrays of shape (n, *feed shape), checked for all that would fail late or silently.

    Args:
        dataset: what a source loaded.
        feeds: what a batch is made of, as `Compiled.feeds`.
        precision: of the floats, that of the session which reads them.
        scalings: by which samples are standardised, if a training has kept some; measured on the training samples
            otherwise, where the source asks for it.
        trained: whether the network is trained already, so that messages do not advise to change what it reads.

    Raises:
        FacError: an array is missing, or nothing reads it; a split is empty, arrays differ in length, samples do not
            fit their shape (see `fits`), a number is not finite, or targets are not what the loss reads.

    """
    dataset = parted(dataset, feeds)
    require_outputs(dataset, feeds)
    for part, split in dataset.splits.items():
        require_shapes(split, feeds, called(dataset, part), trained=trained)
    if dataset.scale:
        dataset = _standardised(dataset, feeds, precision, scalings)
    made = dataset.each(lambda part, split: fitted_split(split, feeds, called(dataset, part), precision))
    require_class_names(made, feeds)
    return made


def parted(dataset: Dataset, feeds: Sequence[Feed]) -> Dataset:
    """The arrays that a network is fed with, as they are, and what is held out for validation apart.

    Args:
        dataset: as a source loaded it.
        feeds: what the network is fed with. The labels of the first loss that reads one for each sample say which are
            held out.

    Raises:
        FacError: samples are to be held out, and arrays are missing or differ in length, or there is only one sample.
    """
    from fac.training import holdout

    held = dataset.held_out
    if dataset.arranged is not None:
        dataset = replace(dataset.arranged(feeds), arranged=None)
    if held is None:
        return dataset

    _require_whole(dataset.train, feeds, called(dataset, "train"))
    if len(dataset.train) < 2:
        raise FacError(
            f"{called(dataset, 'train')} has a single sample, so that none can be held out: leave out "
            "`data.validation`"
        )
    named = _named(dataset.train, feeds).arrays
    labels = (named[feed.name] for feed in feeds if feed.loss is not None and feed.classes is not None)
    one_each = (array for array in labels if array.ndim == 1 and array.dtype.kind in "iu")
    train, validation = holdout.parted(dataset.train, held, next(one_each, None))
    return replace(dataset, train=train, validation=validation, held_out=None)


def _standardised(
    dataset: Dataset, feeds: Sequence[Feed], precision: Precision, known: Mapping[str, Scaling] | None
) -> Dataset:
    """With the arrays scaled that the source names."""
    from fac.training.scaling import measured
    from fac.training.stored import Stored, scaled

    train = called(dataset, "train")
    by = known or {
        name: measured(dataset.train.arrays[name], how, train) if isinstance(how, tuple) else how
        for name, how in dataset.scale.items()
    }
    found = dataset.each(
        lambda part, split: scaled(split, by, called(dataset, part), precision, read_shapes(split, feeds))
    )
    x = found.train.arrays.get("x")
    if dataset.augment and isinstance(x, Stored):
        found = replace(
            found, train=Split(**{**found.train.arrays, "x": replace(x, augment=dataset.augment)})
        )
    return replace(found, scale={}, scalings=by)


def read_shapes(split: Split, feeds: Sequence[Feed]) -> dict[str, tuple[int, ...]]:
    """The shape in which a network reads a sample of each array."""
    names = matched(split.arrays, feeds)
    return {names[feed.name]: feed.shape for feed in feeds if feed.name in names}


def renamed(by: Mapping[str, Scaling], split: Split, feeds: Sequence[Feed]) -> dict[str, Scaling]:
    """Means and deviations by the names of a split's arrays, which another source may call otherwise."""
    here, there = matched(split.arrays, feeds), matched(by, feeds)
    return {here[feed]: by[name] for feed, name in there.items() if feed in here}


def fitted_split(split: Split, feeds: Sequence[Feed], place: str, precision: Precision) -> Split:
    """Samples of one purpose, fitted as `fitted` says.

    Args:
        split: as they were loaded; see `require_shapes`.
        feeds: what they have to be.
        place: what messages call them.
        precision: of the floats.

    Raises:
        FacError: see `fitted`.
    """
    split = _named(split, feeds)
    return Split(**{feed.name: _fitted(feed, split.arrays[feed.name], place, precision) for feed in feeds})


def _require_whole(split: Split, feeds: Sequence[Feed], place: str) -> None:
    """All arrays, of one number of samples."""
    _require_names(split, feeds, place)
    split = _named(split, feeds)
    first, *others = (feed.name for feed in feeds)
    n = len(split.arrays[first])
    for name in others:
        if len(split.arrays[name]) != n:
            raise FacError(
                f"{place} has {n} samples in {first} but {len(split.arrays[name])} in {name}: "
                f"give each {first} exactly one {name}"
            )
    if n == 0:
        raise FacError(f"{place} is empty: give it at least one sample")


def _named(split: Split, feeds: Sequence[Feed]) -> Split:
    """The arrays by the names of the feeds, as far as there are some, see `matched`."""
    return Split(**{feed: split.arrays[name] for feed, name in matched(split.arrays, feeds).items()})


def _require_names(split: Split, feeds: Sequence[Feed], place: str) -> None:
    found = matched(split.arrays, feeds)
    if len(found) < len(feeds) or len(found) < len(split.arrays):
        names = split.arrays, (feed.name for feed in feeds)
        has, reads = (" and ".join(f"`{name}`" for name in of) for of in names)
        raise FacError(
            f"{place} has the arrays {has}, and the network is fed with {reads}: name each by its feed"
        )


def _fitted(feed: Feed, array: Any, place: str, precision: Precision) -> Any:
    if feed.loss is None:
        return _samples(feed, array, place, precision)
    if feed.classes is None:
        return _targets(feed, array, place, precision)
    return _labels(feed, array, place)


def read_anew(dataset: Dataset, feeds: Sequence[Feed]) -> str:
    """What is said of a data set whose numbers are read in another shape, see `fits`; empty if none are.

    Args:
        dataset: as a source loaded it.
        feeds: what the network is fed with.
    """
    told: list[str] = []
    if dataset.arranged is not None:
        return ""
    for feed in feeds:
        splits = (_named(split, feeds) for split in dataset.splits.values())
        shapes = {split.arrays[feed.name].shape[1:] for split in splits} - {feed.shape}
        told += [
            f"{feed.name} of shape {list(stored)} is read as {list(feed.shape)}, row by row"
            for stored in sorted(shapes)
        ]
    return "; ".join(told)


def require_shapes(split: Split, feeds: Sequence[Feed], place: str, *, trained: bool) -> None:
    """All arrays, of one number of samples, and of what the network reads in a shape that fits.

    Args:
        split: as it was loaded.
        feeds: what it has to be.
        place: what messages call it.
        trained: see `fitted`.

    Raises:
        FacError: see `fitted`.
    """
    _require_whole(split, feeds, place)
    split = _named(split, feeds)
    for feed in feeds:
        stored = split.arrays[feed.name].shape[1:]
        if feed.loss is not None or fits(stored, feed.shape):
            continue
        has = f"samples{feed.of} in {place} have shape {list(stored)}"
        if trained:
            raise FacError(
                f"{has}, but the network was trained to read {list(feed.shape)}: {_reshape(stored, feed)}"
            )
        raise FacError(f"{has}, but `{feed.origin}.shape` is {list(feed.shape)}: {remedy(stored, feed)}")


def remedy(stored: tuple[int, ...], feed: Feed) -> str:
    """What to do about samples that do not fit: turn their axes if that is all, or declare the shape they have."""
    if not stored:
        return f"give each sample {prod(feed.shape)} numbers"
    flat = f" or `[{prod(stored)}]`" if len(stored) > 1 else ""
    declare = f"write `{feed.origin}: {{shape: {list(stored)}}}`{flat}"
    if feed.mask:
        return f"give a mask of each place, or {declare}"
    turned = _turned(stored, feed)
    return f"{turned}; else {declare}" if turned else declare


def _reshape(stored: tuple[int, ...], feed: Feed) -> str:
    """The same where the network has the shape that it was trained with."""
    give = f"give samples of that shape, or of {prod(feed.shape)} numbers in a row"
    turned = _turned(stored, feed)
    return f"{turned}; else {give}" if turned else give


def _turned(stored: tuple[int, ...], feed: Feed) -> str:
    """How axes are turned, if that may be all."""
    if sorted(stored) != sorted(feed.shape):
        return ""
    left, axes = list(stored), []
    for size in feed.shape:
        axes.append(left.index(size))
        left[axes[-1]] = -1  # taken; equal axes keep their order
    turned = ", ".join(str(axis + 1) for axis in axes)
    return f"if only the axes are in another order, store `{feed.name}.transpose(0, {turned})`"


def _samples(feed: Feed, array: Any, place: str, precision: Precision) -> Any:
    import numpy as np

    from fac.training.stored import Stored

    if feed.classes is not None:
        return _whole(feed, array, place).reshape(-1, *feed.shape)
    if isinstance(array, Stored) or (isinstance(array, np.memmap) and not feed.mask):
        return _stored(feed, array, place, precision)
    numbers = _finite(array, feed.name, place, precision).reshape(-1, *feed.shape)
    return _mask(feed, numbers, place) if feed.mask else numbers


def _stored(feed: Feed, array: Any, place: str, precision: Precision) -> Any:
    """What is read as it is needed, in the shape of the feed; looked at some samples at a time."""
    from fac.training.stored import Stored

    found = array if isinstance(array, Stored) else Stored(array, None, precision, array.shape[1:])
    if found.raw.dtype.kind == "f":
        for start in range(0, len(found), AT_ONCE):
            _finite(found[start : start + AT_ONCE], feed.name, place, precision, start)
    return found.reshaped(feed.shape)


def _mask(feed: Feed, numbers: NDArray[Any], place: str) -> NDArray[Any]:
    """Zeros and ones."""
    wrong = (numbers != 0) & (numbers != 1)
    if wrong.any():
        position = int(wrong.argmax())
        raise FacError(
            f"{feed.name} of sample {position // prod(feed.shape)} in {place} holds {numbers.flat[position]}: "
            "a mask holds 0 and 1 only"
        )
    if not numbers.any():
        raise FacError(
            f"{feed.name} in {place} is 0 everywhere, so that nothing counts: write 1 where something does"
        )
    return numbers


def _whole(feed: Feed, array: NDArray[Any], place: str) -> NDArray[np.int64]:
    """Whole numbers that `classes` of an input allows."""
    import numpy as np

    if array.dtype.kind not in "iu":
        raise FacError(
            f"{feed.name} in {place} holds {array.dtype}, but `{feed.origin}.classes` asks for whole numbers: "
            "give integers, or leave `classes` out"
        )
    wrong = (array < 0) | (array >= feed.classes)
    if wrong.any():
        at = np.unravel_index(int(wrong.argmax()), array.shape)
        raise FacError(
            f"{feed.name} {array[at]} of sample {at[0]} in {place} is out of range: "
            f"`{feed.origin}.classes` allows 0 to {(feed.classes or 0) - 1}"
        )
    return array.astype(np.int64, copy=False)


def _labels(feed: Feed, y: NDArray[Any], place: str) -> NDArray[np.int64]:
    import numpy as np

    outputs = feed.classes or 0
    if y.dtype.kind not in "iu" or y.shape[1:] != feed.shape:
        # (n,) floats have become (n, 1): the file may say otherwise
        shape = "" if y.shape[1:] == feed.shape else f"shape {list(y.shape)} of "
        found = "floats" if y.dtype.kind == "f" else f"{shape}{y.dtype}"
        wanted = ", ".join(map(str, ("n", *feed.shape))) + "," * (not feed.shape)
        raise FacError(
            f"{feed.name} in {place} holds {found}, but the loss needs integer labels of shape ({wanted}): give such "
            "labels, or a loss on targets such as `mse`"
        )
    kept = np.full(y.shape, True) if feed.ignored is None else y != feed.ignored
    wrong = kept & ((y < 0) | (y >= outputs))
    if wrong.any():
        at = np.unravel_index(int(wrong.argmax()), y.shape)
        also = "" if feed.ignored is None else f", or {feed.ignored}, which does not count"
        raise FacError(
            f"label {y[at]} of sample {at[0]}{feed.of} in {place} is out of range: "
            f"{head(feed)} {outputs} outputs, so labels must be 0 to {outputs - 1}{also}"
        )
    if not kept.any():
        raise FacError(
            f"{feed.name} in {place} holds nothing but {feed.ignored}, which `ignore_index` leaves out: "
            "give labels that count"
        )
    return y.astype(np.int64, copy=False)


def _targets(feed: Feed, y: NDArray[Any], place: str, precision: Precision) -> NDArray[Any]:
    output = feed.shape
    wanted = ", ".join(map(str, ("n", *output)))
    # In bounds, as 0 and 1 are, integers and truth values can be nothing but targets, if there are enough of them.
    if y.dtype.kind != "f" and (feed.within is None or (y.ndim == 1 and not fits((), output))):
        labels = y.ndim == 1 and y.dtype.kind != "b"
        raise FacError(
            f"{feed.name} in {place} holds {y.dtype}{' labels' * labels}, but `{feed.loss}` needs float targets of "
            f"shape ({wanted}): give such targets{', or write `loss: {kind: cross_entropy}`' * labels}"
        )
    if not fits(y.shape[1:], output):
        outputs = f"an output of shape {list(output)}"
        if len(output) == 1:
            outputs = "1 output" if output == (1,) else f"{output[0]} outputs"
        raise FacError(
            f"{feed.name} in {place} has shape {list(y.shape)}, but {head(feed)} {outputs}: "
            f"give targets of shape ({wanted})"
        )
    y = _finite(y, feed.name, place, precision)
    low, high = feed.within or (-inf, inf)
    if not low <= y.min() <= y.max() <= high:
        position = int(((y < low) | (y > high)).argmax())
        raise FacError(
            f"target {y.flat[position]} of sample {position // (y.size // len(y))}{feed.of} in {place} is out of "
            f"range: `{feed.loss}` needs targets from {low:g} to {high:g}"
        )
    return y.reshape(-1, *output)


def _finite(
    values: NDArray[Any], name: str, place: str, precision: Precision, first: int = 0
) -> NDArray[Any]:
    """The values in a precision; one too large for it counts as infinite. `first` is the number of the first sample."""
    import numpy as np

    with np.errstate(over="ignore"):
        numbers = values.astype(precision, copy=False)
    good = np.isfinite(numbers)
    if not good.all():
        sample, *within = map(int, np.unravel_index(int(good.argmin()), numbers.shape))
        at = f" at {within}" * bool(within)
        raise FacError(
            f"{name} of sample {first + sample} in {place} holds {numbers[(sample, *within)]}{at}: "
            f"remove or replace values that are not finite in {precision}"
        )
    return numbers
