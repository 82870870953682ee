"""What is said of data before a training, though it goes on: classes that never come, samples that are met again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fac.step.feed import Feed
from fac.training.data.table import listed
from fac.training.dataset import AT_ONCE, Dataset, Split
from fac.training.naming import labels
from fac.training.stored import Stored


def unused_outputs(dataset: Dataset, feeds: Sequence[Feed]) -> Iterator[str]:
    """Outputs for classes that the data do not have.

    Args:
        dataset: fitted.
        feeds: what the network is fed with. Where a sample has many labels, as a text has bytes, and classes have no
            names, it says nothing that some never come.
    """
    _, feed = labels(dataset.train.arrays, feeds) or ("", None)
    if feed is None or feed.classes is None or (feed.shape and not dataset.classes):
        return
    classes = len(dataset.classes) or 1 + max(
        int(_counting(split.arrays[feed.name], feed).max(initial=-1)) for split in dataset.splits.values()
    )
    if classes >= feed.classes:
        return
    last = feed.classes - 1
    units = f"unit {last} never is" if classes == last else f"units {classes} to {last} never are"
    named = f" ({listed(dataset.classes)})" if dataset.classes else ""
    yield (
        f"`{dataset.name}` has {classes} class{'es' * (classes != 1)}{named}, and the output has {feed.classes} units: "
        f"{units} a target"
    )


def _counting(y: Any, feed: Feed) -> Any:
    """The labels that count."""
    return y if feed.ignored is None else y[y != feed.ignored]


def met_again(dataset: Dataset) -> Iterator[str]:
    """Splits that hold the training samples, each in its place.

    Args:
        dataset: fitted. To compare ends with the first samples that differ.
    """
    for part, split in dataset.splits.items():
        if part != "train" and _equal(split, dataset.train):
            yield (
                f"the `{part}` split of `{dataset.name}` is the training samples: what is known by heart says nothing "
                "of others"
            )


def _equal(one: Split, other: Split) -> bool:
    raw = [
        {name: array.raw if isinstance(array, Stored) else array for name, array in split.arrays.items()}
        for split in (one, other)
    ]
    pairs = [(array, raw[1][name]) for name, array in raw[0].items()]
    return all(a is b or (a.shape == b.shape and _same_rows(a, b)) for a, b in pairs)


def _same_rows(a: Any, b: Any) -> bool:
    return all(
        np.array_equal(a[start : start + AT_ONCE], b[start : start + AT_ONCE])
        for start in range(0, len(a), AT_ONCE)
    )
