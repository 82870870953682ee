"""What tables of all formats have in common: which columns are read, and what classes are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fac.diagnostics import FacError
from fac.spec.words import count
from fac.training.data.parts import Parts, dataset
from fac.training.data.table import Table, is_number, listed, number, short
from fac.training.dataset import Dataset, Split

if TYPE_CHECKING:
    from logging import Logger

    from numpy.typing import NDArray

    from fac.backend import Precision
    from fac.training.metadata import Kept
    from fac.training.scaling import Scaling


class Tabular(Parts):
    """A table with a row for each sample: columns of numbers, and one of classes, or some of targets."""

    x: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Columns of numbers that make a sample, in this order. Default: all others.",
    )
    y: str | tuple[str, ...] = Field(
        description="Column of the classes, of text or of whole numbers, or columns of the targets."
    )
    targets: bool = Field(
        default=False, description="Whole numbers in `y` are targets, as for `mse`, and no classes."
    )
    standardise: bool = Field(
        default=True,
        description="Each column of x less its mean, over its standard deviation, both over the training samples that "
        "are not held out, and kept with the state.",
    )


def loaded(
    data: Tabular, name: str, read: Callable[[Path, str, str], Table], base: Path, precision: Precision
) -> Dataset:
    """The data set of tables.

    Args:
        data: what the spec says of them.
        name: of the source.
        read: a table, by the folder of the spec, what the spec calls the file, and what messages call it.
        base: the folder of the spec.
        precision: of the floats.

    Raises:
        FacError: a column is missing, or a cell is not what it has to be: with its line.
    """
    place = f"`{data.train}` (`data.train`)"
    first = read(base, data.train, place)
    columns = _columns(data, first)
    if data.x is None:  # a number of a customer would be one of them
        _log().info("%s: %s: %s", place, count("reads", len(columns), "column"), listed(columns))
    classes = _classes(data, first)

    def samples(written: str, what: str) -> tuple[Split, NDArray[Any] | None]:
        import numpy as np

        table = first if what == place else read(base, written, what)
        split = None if data.split is None else np.array(table.words(data.split))
        return _split(data, table, columns, classes, precision), split

    scale: dict[str, tuple[int, ...] | Scaling] = {"x": ()} if data.standardise else {}
    made = dataset(data, name, samples, scale=scale, classes=classes or ())
    return replace(made, columns=columns)


def later(
    data: Tabular, table: Table, kept: Kept, precision: Precision, *, targets: bool
) -> tuple[Split, str]:
    """What a network that was trained on such a table reads of another one, and what is to be said of that.

    Args:
        data: what the spec of the training says of tables.
        table: the other one.
        kept: how the samples of the training were read: by their names, columns may stand in any order.
        precision: of the floats.
        targets: whether classes or targets are needed. If not, those that are there are left alone.

    Raises:
        FacError: a column is missing, or a cell is not what it has to be: with its line.
    """
    told = _targets(data)
    table.require(kept.columns, "which the network reads")
    if targets:
        table.require(told, "`data.y` of the training")
    table.require_filled((*kept.columns, *(told if targets else ())))
    arrays = {"x": table.numbers(kept.columns).astype(precision)}
    if targets:
        arrays["y"] = _told(table, told, kept.classes or None, precision)
    others = [name for name in table.columns if name not in {*kept.columns, *told, data.split}]
    unread = f"{table.place}: columns that the network does not read, {listed(others)}" if others else ""
    return Split(**arrays), unread


def _targets(data: Tabular) -> tuple[str, ...]:
    return (data.y,) if isinstance(data.y, str) else data.y


def _columns(data: Tabular, table: Table) -> tuple[str, ...]:
    """The columns of a sample."""
    aside = {*_targets(data), data.split}
    table.require(_targets(data), "`data.y`")
    if data.split is not None:
        table.require((data.split,), "`data.split`")
    if data.x is None:
        columns = tuple(name for name in table.columns if name not in aside)
        if not columns:
            raise FacError(f"{table.place} has no column beside those of `data.y`: there is nothing to read")
        return columns
    table.require(data.x, "`data.x`")
    if both := next((name for name in data.x if name in aside), None):
        other = "data.split" if both == data.split else "data.y"
        raise FacError(f"column `{both}` is in `data.x` and in `{other}`: remove it from one of them")
    return data.x


def _classes(data: Tabular, table: Table) -> tuple[str, ...] | None:
    """What they are called, in their order: that of numbers, or of text. None of targets."""
    names = _targets(data)
    table.require_filled(names)
    if data.targets or len(names) > 1:
        return None
    words = table.words(names[0])
    found = set(words)
    if not all(map(is_number, found)):
        return tuple(sorted(found))
    if all(number(word).is_integer() for word in found):
        return tuple(sorted({_called(word) for word in found}, key=lambda word: (number(word), word)))
    return None


def _called(word: str) -> str:
    """A class as text: `3.0` is 3, which tables write so once a cell of a column was missing; 007 stays as it is."""
    whole = is_number(word) and number(word).is_integer() and not word.strip().lstrip("+-").isdigit()
    return str(int(number(word))) if whole else word


def _split(
    data: Tabular,
    table: Table,
    columns: Sequence[str],
    classes: Sequence[str] | None,
    precision: Precision,
) -> Split:
    names = _targets(data)
    table.require(names, "`data.y`")
    table.require(columns, "`data.x`")
    table.require_filled((*columns, *names))
    return Split(table.numbers(columns).astype(precision), _told(table, names, classes, precision))


def _told(
    table: Table, names: Sequence[str], classes: Sequence[str] | None, precision: Precision
) -> NDArray[Any]:
    """(n,) numbers of classes, or (n, columns) targets."""
    import numpy as np

    if classes is None:
        return table.numbers(names).astype(precision)
    numbers = {name: place for place, name in enumerate(classes)}
    # as the classes are called, and else by value: they may come from a table that wrote them otherwise
    by_value = {_called(name): place for name, place in numbers.items()}
    words = table.words(names[0])
    for row, word in enumerate(words):
        if word not in numbers and _called(word) not in by_value:
            raise FacError(
                f"{table.place}, {table.row} {table.lines[row]}: class `{short(word)}` is none of the training "
                f"samples, which have {listed(classes)}"
            )
    return np.array([numbers.get(word, by_value.get(_called(word))) for word in words], np.int64)


def _log() -> Logger:
    import logging

    return logging.getLogger(__name__)
