"""Labels by the names of classes: the numbers of a trained network are those of its training, whatever a file counts.

A table with classes `1`, `2`, `3` is trained with labels 0, 1, 2, see `fac.training.data.tabular`. Labels that come
later are read so that each means the class that it names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.diagnostics import FacError
from fac.step.feed import Feed, matched
from fac.training.data.table import is_number, listed, short
from fac.training.dataset import Split


def labels(names: Collection[str], feeds: Sequence[Feed]) -> tuple[str, Feed] | None:
    """Which of these arrays holds the labels whose classes have names: that of the first loss.

    Args:
        names: of the arrays.
        feeds: what the network is fed with.
    """
    feed = next((feed for feed in feeds if feed.loss is not None), None)
    name = None if feed is None else matched(names, feeds).get(feed.name)
    return None if feed is None or name is None else (name, feed)


def numbered(split: Split, feeds: Sequence[Feed], classes: Sequence[str], place: str) -> tuple[Split, str]:
    """Samples with labels that are the numbers of their classes, and what to say of how they were read.

    Text is the name of a class. So is a whole number where all names are whole numbers; where they are none it is the
    number of a class, and stays. Floats are targets.

    Args:
        split: as it was given.
        feeds: what the network is fed with.
        classes: what the classes are called, in the order of their numbers; empty if they have no names.
        place: what messages call the samples.

    Raises:
        FacError: a label is no class, or an array that holds no labels holds text.
    """
    found = labels(split.arrays, feeds)
    name, feed = found or ("", None)
    for other, array in split.arrays.items():
        if array.dtype.kind == "U" and (other != name or not classes):
            why = ", and the classes of this network have no names: give their" if other == name else ": give"
            raise FacError(f"`{other}` in {place} holds text{why} numbers")
    if feed is None or not classes:
        return split, ""
    given: NDArray[Any] = split.arrays[name]
    known: Mapping[Any, int]
    if given.dtype.kind == "U":
        known = {word: number for number, word in enumerate(classes)}
    elif given.dtype.kind in "iu" and (whole := _whole(classes)) is not None:
        known = whole
    else:
        return split, ""
    values, where = np.unique(given, return_inverse=True)
    meant = [_meant(value, known, feed.ignored) for value in values.tolist()]
    if None in meant:
        value = values[meant.index(None)]
        sample = int(np.argwhere(given == value)[0][0])
        raise FacError(
            f"label `{short(str(value))}` of sample {sample}{feed.of} in {place} is no class of this network, which "
            f"has {listed(classes)}"
        )
    told = ""
    if given.dtype.kind in "iu" and meant != values.tolist():
        told = f"`{name}` of {place}: its numbers are the names of classes, {listed(classes)}"
    made = np.array(meant, np.int64)[where].reshape(given.shape)
    return Split(**{**split.arrays, name: made}), told


def _meant(value: str | int, known: Mapping[Any, int], ignored: int | None) -> int | None:
    """The number of a class; None if there is none. What does not count stays so."""
    found = known.get(value.strip() if isinstance(value, str) else value)
    return ignored if found is None and value == ignored else found


def _whole(classes: Sequence[str]) -> dict[int, int] | None:
    """Numbers of classes by the whole number that their name is; None if a name is none.

    Two names may be one number, as `1` and `1.0` are: then it means neither.
    """
    if not all(map(is_number, classes)):
        return None
    found = [Decimal(name.strip()) for name in classes]
    if any(number != number.to_integral_value() for number in found):
        return None
    return {int(number): place for place, number in enumerate(found) if found.count(number) == 1}
