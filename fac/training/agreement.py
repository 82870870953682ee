"""Data that are read anew for a network which was trained on some: each class and each column is what it was then.

Where they stand in files may change, and by that their numbers, which are all that a network knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fac.backend import Precision
from fac.diagnostics import FacError
from fac.step.feed import Feed
from fac.training.data.table import listed
from fac.training.dataset import Dataset, Split
from fac.training.fitting import fitted, parted
from fac.training.metadata import Kept
from fac.training.naming import labels, numbered


def fitted_anew(
    dataset: Dataset, feeds: Sequence[Feed], precision: Precision, kept: Kept | None, *, training: bool
) -> tuple[Dataset, list[str]]:
    """The data set as `fitted` makes it, classes and columns in the order of the training, and what to say of that.

    Args:
        dataset: what a source loaded.
        feeds: what the network is fed with.
        precision: of the floats.
        kept: of the data of the training, what it does not say being as in `dataset`; None before there is any.
        training: whether the training goes on. Then there have to be the same classes; to be evaluated samples may
            lack some.

    Raises:
        FacError: there are other classes or columns, or as in `fitted`.
    """
    if kept is None:
        return fitted(dataset, feeds, precision), []
    dataset = parted(dataset, feeds)
    dataset, moved = _columns(dataset, kept.columns)
    dataset, named = _classes(dataset, feeds, kept.classes, training)
    return fitted(dataset, feeds, precision, kept.scalings, trained=True), moved + named


def unlike(dataset: Dataset, kept: Kept) -> list[str]:
    """In what data differ from those of the run whose parameters a new training starts from: a line for each.

    Args:
        dataset: as it is fitted.
        kept: of the data of that run.
    """
    here, there = dataset.scalings, kept.scalings
    lines = [
        f"`{name}` is standardised otherwise than in the run that the parameters are from: as these training samples "
        "are; `--fork` keeps what that run had"
        for name in sorted(here.keys() | there.keys())
        if name not in here or name not in there or not here[name].equals(there[name])
    ]
    for what, now, then in (
        ("classes", dataset.classes, kept.classes),
        ("columns", dataset.columns, kept.columns),
    ):
        if now and then and now != then:
            lines.append(
                f"the {what} are {listed(now)}, and the run was trained on {listed(then)}, in this order"
            )
    return lines


def _columns(dataset: Dataset, then: tuple[str, ...]) -> tuple[Dataset, list[str]]:
    now = dataset.columns
    if not then or not now or now == then:
        return dataset, []
    if sorted(now) != sorted(then):
        raise FacError(
            f"`{dataset.name}` has the columns {listed(now)}, and this network was trained on {listed(then)}: name "
            "these, as by `data.x`"
        )
    order = [now.index(name) for name in then]
    made = dataset.each(lambda _, split: Split(**{**split.arrays, "x": split.x[:, order]}))
    told = f"the columns of `{dataset.name}` are in another order than in the training, and read by name"
    return replace(made, columns=then), [told]


def _classes(
    dataset: Dataset, feeds: Sequence[Feed], then: tuple[str, ...], training: bool
) -> tuple[Dataset, list[str]]:
    now = dataset.classes
    found = labels(dataset.train.arrays, feeds)
    if not then or now == then or found is None:
        return dataset, []
    name = found[0]
    if not now:
        return _named(dataset, feeds, then)
    new = [number for number, of in enumerate(now) if of not in then]
    others = f"`{dataset.name}` has the classes {listed(now)}, and this network was trained on {listed(then)}"
    once = all(len({*names}) == len(names) for names in (now, then))
    if not once or (training and {*now} != {*then}):
        raise FacError(
            f"{others}: bring back data with these, or begin a new training, which may start from its parameters"
        )
    numbers = np.array([then.index(of) if of in then else -1 for of in now], np.int64)

    def renumbered(_: str, split: Split) -> Split:
        y = np.asarray(split.arrays[name])
        counts = (y >= 0) & (y < len(now))  # others do not count, or are refused by `fitted`
        if new and np.isin(y[counts], new).any():
            raise FacError(f"{others}: leave out samples of others")
        made = y.astype(np.int64)
        made[counts] = numbers[y[counts]]
        return Split(**{**split.arrays, name: made})

    made = replace(dataset.each(renumbered), classes=then)
    kept = [of for of in then if of in now] == [of for of in now if of in then]
    told = f"the classes of `{dataset.name}` are in another order than in the training, and read by name"
    return made, [] if kept else [told]


def _named(dataset: Dataset, feeds: Sequence[Feed], then: tuple[str, ...]) -> tuple[Dataset, list[str]]:
    """Data whose classes have no names, for a network whose classes have some."""
    told: dict[str, None] = {}

    def one(part: str, split: Split) -> Split:
        found, line = numbered(split, feeds, then, f"the `{part}` split of `{dataset.name}`")
        told.update(dict.fromkeys([line] if line else []))
        return found

    return replace(dataset.each(one), classes=then), list(told)
